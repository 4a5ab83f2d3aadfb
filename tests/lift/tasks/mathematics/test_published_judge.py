"""The judge of OlympiadBench where it needs no parser; with one: test_published."""

from __future__ import annotations

import pytest

from lift.tasks.mathematics import published_judge
from lift.tasks.mathematics.published_judge import is_right


@pytest.fixture(autouse=True)
def without_a_parser(monkeypatch):
    monkeypatch.setattr(published_judge, "_parse", None)


@pytest.mark.parametrize(
    ("key", "answer", "expected"),
    [
        ("204", "204.", True), ("204", "20400", True), ("204", "2.04", True), ("204", "204.0000009", True), ("3,4", "4,3", True),
        ("3,4", "3", False), ("3,3", "3", False), ("\\mathrm{C}", "C", True), ("[1,2]", "[1,2]", True), ("x \\in [1,2]", "[1,2]", True),
        ("5", "a\n$5$ or $6$", False), ("5", "a\n$5$", True), ("5", "\\boxed{5", False), ("5 \\pm 1", "5 + 1, 5 - 1", True),
    ],
)  # fmt: skip
def test_verdicts(key, answer, expected):
    assert is_right(key, answer) is expected
