"""A text that is written in four steps, one of which overwrites a token."""

from __future__ import annotations

import pytest

from lift.report import Cell, Unmasking


@pytest.fixture
def unmasking() -> Unmasking:
    masked = Cell(None)
    hello, world, low, end = Cell("Hello", 0.97), Cell(" <world>", 0.6), Cell(" &", 0.2), Cell("\nend", 0.9)
    return Unmasking(
        'a "title" </script>',
        [
            [masked, masked, masked], [masked, low, masked], [hello, low, masked], [hello, world, masked],
            [hello, world, end],
        ],
    )  # fmt: skip
