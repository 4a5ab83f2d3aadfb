"""Runs are paired by task, number and key."""

from __future__ import annotations

from lift.cli.compared_runs import compared


def run(values, *, task="task", target="1", metric="score"):
    documents = [{"id": n, "target": target, "metrics": {metric: value}} for n, value in enumerate(values)]
    return {"tasks": [{"task": task, "scores": [{"name": metric}], "documents": documents}]}


def test_each_problem_is_paired_with_itself():
    (pair,) = compared(run([1.0, 0.0, 1.0]), run([1.0, 1.0, 1.0]), "other")
    assert (pair.run, pair.first, pair.second) == ("other", [1, 0, 1], [1, 1, 1])
    assert (pair.found.only_first, pair.found.only_second, pair.found.p_value) == (0, 1, 1.0)


def test_other_problems_and_other_tasks_make_no_pair(caplog):
    assert not compared(run([1.0]), run([1.0], task="another"), "other")
    assert not compared(run([1.0]), run([1.0], target="2"), "other")
    assert "task: 2 documents are in one of the runs only" in caplog.text


def test_pooled_pairs_are_shares_and_an_empty_one_is_none():
    (pair,) = compared(run([[1, 4], [0, 0], [2, 2]]), run([[2, 4], [0, 0], [2, 2]]), "other")
    assert (pair.first, pair.second, pair.are_shares) == ([0.25, 1.0], [0.5, 1.0], True)
    (pair,) = compared(run([-7.5]), run([-7.0]), "other")
    assert not pair.are_shares
