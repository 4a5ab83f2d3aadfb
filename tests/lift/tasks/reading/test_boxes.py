"""Boxes alone; where they stand in an output is the subject of test_final_answer."""

from __future__ import annotations

import pytest

from lift.tasks.reading.boxes import is_placeholder, last_box


def test_the_last_box_is_that_which_starts_last():
    assert last_box("\\boxed{a \\boxed{b} c}") == "b"
    assert last_box("\\boxed{a {b} \\boxed{c") == "c"
    assert last_box("no box") is None
    assert last_box("} \\boxed{a}}") == "a"


@pytest.mark.parametrize(
    "content", ["", "...", " . ", "…", "\\dots", "___", "?", "{}", "answer", "[Your answer]", "final answer"]
)
def test_placeholders(content):
    assert is_placeholder(content)


@pytest.mark.parametrize("content", ["0", "x", "\\emptyset", "no answer", "\\text{none}", "." * 100])
def test_answers_are_no_placeholders(content):
    assert not is_placeholder(content)
