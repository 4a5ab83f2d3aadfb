"""Tests of what transformers 4 lacks."""

from __future__ import annotations

import pytest
import transformers

IS_TRANSFORMERS_4 = transformers.__version__.startswith("4.")


def needs_transformers_5(reason: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(IS_TRANSFORMERS_4, reason=reason)


needs_packing = needs_transformers_5("packing needs transformers 5.1")
