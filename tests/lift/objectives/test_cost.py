"""What a step costs: the rows that a method really scores and trains on, counted while it builds its batch."""

from __future__ import annotations

import pytest
import torch

from lift.objectives import METHODS, MIDDLE, LiftOptions, relative_cost
from lift.objectives.micro_batch import build_training_batch
from tests.lift.support.clean_rows import DENSITY, NUM_ROWS, clean_rows, entropy_by_position, scores_of_ranked_rows

EVEN = (torch.arange(NUM_ROWS) + 0.5) / NUM_ROWS


def options_of(**fields) -> LiftOptions:
    options = LiftOptions(**fields)
    options.resolve_options()
    return options


def counted_cost(method: str, **fields) -> float:
    """Rows trained on, and a third of those scored, for each clean row."""
    scored = []

    def score(corrupted_ids, labels, order):
        scored.append(int((order != MIDDLE).sum()))
        return scores_of_ranked_rows(corrupted_ids, labels, order)

    def entropy(corrupted_ids, labels):
        scored.append(len(corrupted_ids))
        return entropy_by_position(corrupted_ids, labels)

    prepared = build_training_batch(clean_rows(method, score=score, entropy=entropy, times=EVEN, **fields))
    return (len(prepared.batch.labels) + sum(scored) / 3) / NUM_ROWS


DRAWN = {"ppots": {"time_density": DENSITY}}


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        *((method, DRAWN.get(method, {})) for method in METHODS),
        ("lift3", {"one_forward": True}), ("lift3", {"complementary": True}), ("gift", {"complementary": True}),
    ],
)  # fmt: skip
def test_the_cost_is_that_of_the_rows_that_are_scored_and_trained_on(method, fields):
    assert relative_cost(options_of(method=method, **fields)) == pytest.approx(counted_cost(method, **fields), abs=1e-3)


@pytest.mark.parametrize(
    ("fields", "cost"),
    [
        ({}, 1 + 2 / 9),
        ({"mode_policy": "random"}, 1 + 2 / 9),
        ({"timestep_distribution": "low_discrepancy"}, 1 + 2 / 9),
        ({"timestep_distribution": "discrete"}, 1 + 5 / 18),  # of the six times 1/2 alone is a middle one
        ({"timestep_distribution": "fixed", "fixed_timestep": 0.5}, 1.0),
        ({"time_range": [0.7, 1.0]}, 1 + 1 / 3),
        ({"score_source": "cache"}, 1.0),
        # Of that density 29/144 of 9/8 lies between 1/3 and 2/3: the trapezoids 1/9 and 13/144.
        ({"time_density": DENSITY}, 1 + (1 - 29 / 162) / 3),
        ({"attention": "block", "block_size": 4}, 1 + 1 / 3),
    ],
)
def test_what_lift3_scores_follows_from_its_times_and_modes(fields, cost):
    assert relative_cost(options_of(**fields)) == pytest.approx(cost, abs=1e-3)


def test_a_micro_batch_of_one_mode_is_mostly_a_middle_one():
    batch = options_of(mode_scope="batch")
    assert relative_cost(batch) == pytest.approx(1 + 2 / 9, abs=0.01)
    # The mean of two uniform times is triangular: 2 (1/3)^2 of it lies below 1/3, as much above 2/3.
    assert relative_cost(batch, rows_per_mode=2) == pytest.approx(1 + 4 / 9 / 3, abs=0.01)


def test_a_forward_counts_for_more_where_an_adapter_alone_is_trained():
    assert relative_cost(options_of(method="hard"), forward_share=0.5) == 1.5
