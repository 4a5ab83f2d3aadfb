"""The published rule for boxes, with its oddities."""

from __future__ import annotations

import pytest

from lift.tasks.reading.published_boxes import published_box


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("a \\boxed{1} \\boxed{\\frac12} b", "\\frac12"),
        ("no box at all", "no box at all"),
        ("\\boxed 7$ x", "7"),
        ("\\boxed 7$ then \\boxed{8}", "7"),
        ("\\fbox{7}", "\\fbox{7}"),
        ("\\boxed{1} \\fbox{2}", "1"),
    ],
)
def test_answers(text, answer):
    assert published_box(text) == answer


def test_braces_must_balance():
    with pytest.raises(ValueError, match="do not balance"):
        published_box("\\boxed{1")
