"""The page that helps to choose names every method, and its figures are those of the record that it names."""

from __future__ import annotations

import json
import re

import pytest

from lift import METHODS
from tests.docs.pages import ROOT

RECORD = json.loads((ROOT / "benchmarks/results/2026-11-29-cpu-objectives.json").read_text("utf-8"))
RELATIVE = {row["objective"]: row["relative"] for row in RECORD["objectives"]}


def rows(page: str) -> list[list[str]]:
    text = (ROOT / "docs" / page).read_text("utf-8")
    return [line.strip("| \n").split(" | ") for line in text.splitlines() if line.startswith("| ")]


def test_every_method_has_a_row():
    named = {name for row in rows("choosing_a_method.md") for name in re.findall(r"`(\w+)`", row[0])}
    assert set(METHODS) <= named


def test_the_costs_are_those_of_the_record():
    measured = {}
    for row in rows("choosing_a_method.md"):
        names = re.findall(r"`(\w+)`", row[0])
        if len(row) > 3 and names:
            measured |= zip(names, map(float, row[2].split(", ")), strict=True)
    assert measured.keys() == set(METHODS)
    for name, cost in measured.items():
        assert cost == pytest.approx(RELATIVE[name], abs=0.006)
    (explained,) = (row for row in rows("lift_explained.md") if row[0] == "`lift3`")
    assert float(explained[1]) == measured["lift3"]
