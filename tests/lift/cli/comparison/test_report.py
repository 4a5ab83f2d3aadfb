"""The tables say what was found, and the JSON the same."""

from __future__ import annotations

import json

import pytest

from lift.cli.comparison.report import report_text, write_report
from lift.cli.comparison.results import read_results
from tests.lift.cli.comparison.support import finished_plan


def test_tables_and_sentences(tmp_path):
    plan = finished_plan(tmp_path)
    lines = report_text(plan, read_results(plan)).splitlines()
    assert lines[0].split()[:4] == ["method", "steps", "runs", "seconds"]
    assert lines[3].startswith("lift3") and "53.0 [30.6, 75.4]" in lines[3]  # 53 +- 4.3027 * 9 / sqrt(3)
    assert lines[8].split() == [
        "solved", "lift3", "sft", "steps", "+3.0", "+0.5", "to", "+5.5", "0.035", "3", "of", "3"
    ]  # fmt: skip
    assert "Judged by puzzles solved (%)." in lines
    assert (
        lines[-1]
        == "sft x1.22 takes 1.22 times the steps: what lift3 costs, if a forward that scores is 1/3 of a step."
    )


def test_one_seed_has_no_interval(tmp_path):
    plan = finished_plan(tmp_path)
    for folder in (tmp_path / "runs").iterdir():
        if not folder.name.endswith("-0"):
            (folder / "metrics.json").unlink()
    lines = report_text(plan, read_results(plan)).splitlines()
    assert lines[2].split() == ["sft", "100", "1", "2", "50.0", "0.5000"]
    assert lines[8].split() == ["solved", "lift3", "sft", "steps", "+3.0", "-", "-", "1", "of", "1"]


def test_the_record_holds_runs_differences_and_what_they_ran_on(tmp_path):
    plan = finished_plan(tmp_path)
    results = read_results(plan)
    path = write_report(plan, results, "lift compare ...", {"x": "boom"})
    record = json.loads(path.read_text("utf-8"))
    assert path == tmp_path / "comparison.json" and record["command"] == "lift compare ..."
    assert record["failed"] == {"x": "boom"} and record["seeds"] == [0, 1, 2]
    assert record["environment"] == {"python": "3.x", "versions": {"torch": "2.x"}, "git": None, "machine": None}
    assert [(arm["name"], arm["step_factor"], arm["equal_compute"]) for arm in record["arms"]] == [
        ("sft", 1.0, None), ("lift3", 1.0, "sft x1.22"), ("sft x1.22", 1.22, None)
    ]  # fmt: skip
    by_name = {run["name"]: run for run in record["runs"]}
    assert by_name["lift3-seed-2"]["outcomes"] == pytest.approx({"solved": 62, "loss": 0.38})
    for kept, one in zip(record["differences"], results.differences, strict=True):
        assert kept["mean"] == one.found.mean and kept["interval"] == list(one.found.interval)
        assert kept["by_seed"] == {str(seed): value for seed, value in one.by_seed.items()}
