"""Mark tests of what the transformers installed here lacks."""

from __future__ import annotations

import pytest

from lift.models.transformers_versions import PACKING_SINCE, is_transformers_4, keeps_packed_examples_apart

IS_TRANSFORMERS_4 = is_transformers_4()


def needs_transformers_5(reason: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(IS_TRANSFORMERS_4, reason=reason)


needs_packing = pytest.mark.skipif(
    not keeps_packed_examples_apart(), reason=f"packing needs transformers {'.'.join(map(str, PACKING_SINCE))}"
)
