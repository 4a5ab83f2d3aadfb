"""Scores of a task from its documents."""

from __future__ import annotations

import pytest

from lift.evaluation.summary import summarise
from lift.statistics import bootstrap_interval, mean_pass_at_k, wilson_interval


def sample(filter_name="all", **metrics):
    return {"filter": filter_name, "metrics": list(metrics), **metrics}


def test_shares_have_wilsons_interval_and_others_the_bootstraps():
    right, weight = [1.0, 0.0, 1.0, 1.0], [0.5, 0.25, 0.0, 1.0]
    samples = [sample(score=r, part=w) for r, w in zip(right, weight, strict=True)]
    score, part = summarise(samples, {"score,all": 0.75, "part,all": 0.4375})
    assert (score.name, score.value, score.num_documents) == ("score", 0.75, 4)
    assert score.interval == wilson_interval(3, 4)
    assert part.value == 0.4375 and part.interval == bootstrap_interval(weight)


def test_pooled_shares_are_drawn_by_document():
    samples = [sample(cells=pair) for pair in [(1, 8), (4, 4), (0, 6)]]
    (cells,) = summarise(samples, {"cells,all": 5 / 18})
    assert cells.value == pytest.approx(5 / 18) and cells.interval == bootstrap_interval([1, 4, 0], [8, 4, 6])


def test_several_answers_give_pass_at_k_with_its_interval():
    def verdicts(num_right):
        return [{"correct": i < num_right} for i in range(4)]

    samples = [sample(score=n / 4, verdicts=verdicts(n), **{"pass@2": 0.5}) for n in (0, 1, 4)]
    found = {score.name: score for score in summarise(samples, {})}
    assert set(found) == {"score", "pass@2"}
    assert (found["pass@2"].value, found["pass@2"].interval) == mean_pass_at_k([4, 4, 4], [0, 1, 4], 2)
    assert (found["score"].value, found["score"].interval) == mean_pass_at_k([4, 4, 4], [0, 1, 4], 1)


def test_what_is_no_mean_has_lm_evals_figure_and_no_interval():
    samples = [sample(perplexity=(-3.0, 2)), sample(perplexity=(-5.0, 4))]
    (found,) = summarise(samples, {"perplexity,all": 3.79})
    assert found.value == 3.79 and found.interval is None
    (found,) = summarise([sample(f1=1.0), sample(f1=0.0)], {"f1,all": 0.8})
    assert found.value == 0.8 and found.interval is None


def test_filters_are_told_apart():
    samples = [sample("strict", exact=0.0), sample("loose", exact=1.0)]
    found = {score.name: score.value for score in summarise(samples, {"exact,strict": 0.0, "exact,loose": 1.0})}
    assert found == {"exact,strict": 0.0, "exact,loose": 1.0}
