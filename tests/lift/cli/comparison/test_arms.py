"""Methods with flags of their own, and the steps that make compute equal."""

from __future__ import annotations

import pytest

from lift.cli.comparison.arms import Arm, equal_compute, parse_methods
from lift.errors import LiftError


def test_methods_may_have_flags_and_names_that_a_folder_can_have():
    sft, lift = parse_methods("sft, lift3:one_forward=true:min_rho=0.2")
    assert sft == Arm("sft", "sft") and lift.flags == ("--one_forward=true", "--min_rho=0.2")
    assert lift.file_name == "lift3-one_forward=true-min_rho=0.2"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("sft", "must name at least two"),
        ("sft,lift4", r"--methods must be one of sft, .*, got 'lift4'"),
        ("sft,hard,sft", "names sft twice"),
        ("sft,lift3:one_forward", "must have FLAG=VALUE behind a colon, got 'one_forward'"),
        ("sft,lift3:max_steps=3", "max_steps is what the comparison sets for every run"),
    ],
)
def test_what_cannot_be_compared_is_refused(text, sentence):
    with pytest.raises(LiftError, match=sentence):
        parse_methods(text)


def test_the_first_method_gets_the_steps_that_the_others_cost_once_for_each_cost():
    arms = parse_methods("sft,lift3,hard,gift,cart")
    longer = equal_compute(arms, {"sft": 1.0, "lift3": 11 / 9, "hard": 4 / 3, "gift": 4 / 3, "cart": 1.0})
    assert {name: (arm.name, arm.method, arm.factor) for name, arm in longer.items()} == {
        "lift3": ("sft x1.22", "sft", 1.22), "hard": ("sft x1.33", "sft", 1.33), "gift": ("sft x1.33", "sft", 1.33),
    }  # fmt: skip


def test_a_dearer_first_method_gets_fewer_steps_and_keeps_its_flags():
    arms = parse_methods("hard:min_rho=0.2,sft")
    longer = equal_compute(arms, {"hard:min_rho=0.2": 4 / 3, "sft": 1.0})
    assert longer["sft"] == Arm("hard:min_rho=0.2 x0.75", "hard", ("--min_rho=0.2",), 0.75)
