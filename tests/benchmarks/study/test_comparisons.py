from __future__ import annotations

import pytest

from benchmarks.study.comparisons import OUTCOMES, Comparison, compare, runs_of, verdict
from benchmarks.study.plan import Job
from benchmarks.study.statistics import Difference, paired_difference


def runs(values):
    """Answers by (method, start, seed)."""
    return {
        Job("run", "fsa", start, seed, method): {"answers": value} for (method, start, seed), value in values.items()
    }


LIFT3 = Comparison("fsa", "answers", "lift3", "sft")


def test_runs_are_paired_by_start_and_seed_and_starts_are_the_unit():
    found = compare(
        runs({
            ("sft", 0, 0): 0.30, ("lift3", 0, 0): 0.40, ("sft", 0, 1): 0.50, ("lift3", 0, 1): 0.52,
            ("sft", 1, 0): 0.10, ("lift3", 1, 0): 0.18, ("sft", 2, 0): 0.70, ("lift3", 2, 0): 0.71,
            ("lift3", 3, 0): 0.99, ("sft", 4, 0): 0.01,  # without a partner
        }),
        LIFT3,
    )  # fmt: skip
    assert [*found.differences] == pytest.approx([10, 2, 8, 1])
    assert found.by_run == pytest.approx(paired_difference([10, 2, 8, 1]))
    assert found.by_start == pytest.approx(paired_difference([6, 8, 1]))
    assert found.verdict == "open"  # 5 points, and an interval that holds 0


def test_runs_from_the_base_are_their_own_unit():
    values = {("sft", 0, seed): 0.5 for seed in range(4)} | {("lift3", 0, seed): 0.6 + 0.01 * seed for seed in range(4)}
    found = compare(runs(values), LIFT3)
    assert found.by_start == found.by_run and found.verdict == "better"


def test_a_single_pair_compares_nothing():
    assert compare(runs({("sft", 0, 0): 0.3, ("lift3", 0, 0): 0.4}), LIFT3) is None


@pytest.mark.parametrize(
    ("difference", "outcome", "word"),
    [
        ((4.0, 1.0, 7.0), "answers", "better"), ((-4.0, -7.0, -1.0), "answers", "worse"), ((2.9, -1.0, 7.0), "answers", "alike"),
        ((-3.1, -7.0, 1.0), "answers", "open"), ((0.005, 0.002, 0.008), "nll", "worse"), ((-0.005, -0.008, -0.002), "nll", "better"),
        ((0.002, -0.001, 0.005), "nll", "alike"), ((0.004, -0.001, 0.009), "nll", "open"), ((1.0, 0.5, 1.5), "kept", "better"),
    ],
)  # fmt: skip
def test_words_are_those_of_the_protocol(difference, outcome, word):
    assert verdict(Difference(*difference, 0.5), OUTCOMES[outcome]) == word


def test_lines_of_other_jobs_are_no_runs():
    lines = [
        {"session": {}}, {"job": {"kind": "base"}, "found": {}},
        {"job": {"kind": "run", "setting": "fsa", "method": "sft"}, "found": {"answers": 1.0}},
    ]  # fmt: skip
    assert runs_of(lines) == {Job("run", "fsa", 0, 0, "sft"): {"answers": 1.0}}
