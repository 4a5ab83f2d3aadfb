"""Each value of a choice is one of its own: none is another under a second name, none is forgotten."""

from __future__ import annotations

import itertools
import typing

import pytest
import torch

from lift.objectives import LiftOptions, StepCounts, choices, token_weights_and_denominator
from lift.objectives.forward_process import draw_time, evaluation_time
from lift.objectives.modes import choose_order

IDS = torch.arange(6)


def assert_all_differ(results) -> None:
    for one, other in itertools.combinations(results, 2):
        assert not torch.equal(one, other)


@pytest.mark.parametrize(
    ("type_name", "tuple_name"),
    [
        ("ModePolicy", "MODE_POLICIES"), ("ModeScope", "MODE_SCOPES"), ("ScoreSourceName", "SCORE_SOURCES"),
        ("TimeDistribution", "TIME_DISTRIBUTIONS"), ("Normalizer", "NORMALIZERS"),
        ("EvaluationGrid", "EVALUATION_GRIDS"),
    ],
)  # fmt: skip
def test_the_tuple_has_the_values_of_the_type_and_an_option_takes_them(type_name, tuple_name):
    choice = getattr(choices, type_name)
    assert getattr(choices, tuple_name) == typing.get_args(choice)
    assert [hint for hint in typing.get_type_hints(LiftOptions).values() if hint == choice]


def test_times_are_drawn_in_as_many_ways():
    assert_all_differ(
        [
            draw_time(name, 3, IDS, fixed_time=0.5, position=IDS, num_rows=len(IDS))
            for name in choices.TIME_DISTRIBUTIONS
        ]
    )


def test_evaluation_has_as_many_grids():
    assert_all_differ([evaluation_time(IDS, len(IDS), grid=grid) for grid in choices.EVALUATION_GRIDS])


def test_modes_have_as_many_scopes():
    assert_all_differ([choose_order(torch.linspace(0.1, 1, 6), "lift3", scope=scope) for scope in choices.MODE_SCOPES])


def test_a_loss_is_divided_in_as_many_ways():
    maskable = torch.tensor([[True, True], [True, False]])
    other = torch.tensor([[True, True], [True, True]])
    counts = StepCounts.of([maskable, other], lambda counts: counts)
    scales = []
    for name in choices.NORMALIZERS:
        weight, denominator = token_weights_and_denominator(
            name, None, torch.ones(2, 2), maskable, counts, torch.tensor(3.0), 0.5, num_trained=torch.tensor(1)
        )
        scales.append(weight / denominator)
    assert_all_differ(scales)
