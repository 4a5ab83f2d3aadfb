"""Differences are paired by seed, at equal steps and at equal compute."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from lift.cli.comparison.results import read_results
from tests.lift.cli.comparison.support import SOLVED, finished_plan


def test_differences_are_those_of_scipys_paired_t_test(tmp_path):
    results = read_results(finished_plan(tmp_path))
    assert [(one.outcome.name, one.arm, one.against, one.equal) for one in results.differences] == [
        (outcome, "lift3", against, equal)
        for outcome in ("solved", "loss") for against, equal in (("sft", "steps"), ("sft x1.22", "compute"))
    ]  # fmt: skip
    for one in results.differences:
        sign = 100 if one.outcome.name == "solved" else -1  # the loss is made up as 1 - the share solved
        ours, theirs = (sign * np.array(SOLVED[name]) for name in ("lift3", one.against))
        truth = stats.ttest_rel(ours, theirs)
        assert one.by_seed == pytest.approx(dict(enumerate(ours - theirs)))
        assert one.found.interval == pytest.approx(tuple(truth.confidence_interval(0.95)), abs=1e-9)
        assert one.found.p_value == pytest.approx(truth.pvalue, abs=1e-9)
        assert one.num_better == 3


def test_runs_that_are_missing_or_diverged_take_their_pairs_along(tmp_path):
    plan = finished_plan(tmp_path)
    (tmp_path / "runs" / "sft-seed-0" / "metrics.json").unlink()
    history = tmp_path / "runs" / "lift3-seed-1" / "history.jsonl"
    lines = [json.loads(line) for line in history.read_text().splitlines()]
    for line in lines:
        if line["step"] == 100 and "eval_loss" in line:
            line["eval_loss"] = None
    history.write_text("".join(json.dumps(line) + "\n" for line in lines))
    results = read_results(plan)
    found = {(one.outcome.name, one.equal): list(one.by_seed) for one in results.differences}
    assert found == {
        ("solved", "steps"): [1, 2], ("solved", "compute"): [0, 1, 2], ("loss", "steps"): [2], ("loss", "compute"): [0, 2],
    }  # fmt: skip
    alone = next(one for one in results.differences if len(one.by_seed) == 1)
    assert alone.found.interval is None and alone.found.mean == pytest.approx(0.60 - 0.62)


def test_answers_after_training_count_no_seconds_of_their_own(tmp_path):
    results = read_results(finished_plan(tmp_path))
    run = results.of_arm("sft")[0]
    assert [(point.step, point.seconds) for point in run.points(results.outcomes[0])] == [(0, 0), (100, 2)]
    assert run.final(results.outcomes[0]) == 50 and len(results.runs) == 9
