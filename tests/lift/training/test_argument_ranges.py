"""The numbers among transformers' arguments: each has a range, here and in `LiftConfig`, and values with a meaning pass."""

from __future__ import annotations

import dataclasses
import math
from types import SimpleNamespace
from typing import get_args, get_type_hints

import pytest
from transformers import TrainingArguments

from lift.errors import LiftError
from lift.training import LiftConfig
from lift.training.argument_ranges import REAL, WHOLE, check_training_arguments
from tests.lift.support.tiny import tiny_config


def numbers_of(group: type) -> set[str]:
    """The fields of a dataclass that take a number."""
    hints = get_type_hints(group)
    kinds = {f.name: {hints[f.name], *get_args(hints[f.name])} for f in dataclasses.fields(group) if f.init}
    return {name for name, kind in kinds.items() if kind & {int, float}}


def test_every_number_of_transformers_has_a_range():
    assert len(numbers_of(TrainingArguments)) > 25
    assert numbers_of(TrainingArguments) <= WHOLE.keys() | REAL.keys()


@pytest.mark.parametrize("name", [*WHOLE, *REAL])
def test_no_number_may_be_infinite_or_none_at_all_or_far_below_zero(name):
    for value in (math.nan, math.inf, -math.inf, -5, "3", True):
        with pytest.raises(LiftError, match=f"^{name} must be "):
            check_training_arguments(SimpleNamespace(**{name: value}))
    check_training_arguments(SimpleNamespace(**{name: None}))


@pytest.mark.parametrize("name", WHOLE)
def test_whole_numbers_are_whole(name):
    with pytest.raises(LiftError, match=rf"^{name} must be a whole number, got 2.5"):
        check_training_arguments(SimpleNamespace(**{name: 2.5}))
    check_training_arguments(SimpleNamespace(**{name: 2}))


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("max_steps", 0, "max_steps must be at least 1 or -1, got 0: -1 leaves it to num_train_epochs."),
        ("learning_rate", -1.0, "learning_rate must be at least 0, got -1.0."),
        ("per_device_train_batch_size", 0, "per_device_train_batch_size must be at least 1, got 0."),
        ("num_train_epochs", 0.0, "num_train_epochs must be above 0, got 0.0: max_steps limits a run too"),
        ("save_total_limit", 0, "save_total_limit must be at least 1, got 0: without it every checkpoint is kept."),
        ("eval_steps", 0, "eval_steps must be above 0, got 0: eval_strategy=no evaluates before and after"),
        ("save_steps", 2.5, "save_steps, from 1 on, must be a whole number, got 2.5"),
        ("seed", 2**32, "seed must be at least 0 and at most 4294967295, got 4294967296: NumPy takes no other."),
        ("data_seed", 10**20, "data_seed must be at least 0 and at most 4294967295"),
        ("adam_beta2", 1.0, "adam_beta2 must be at least 0 and below 1, got 1.0."),
    ],
)
def test_what_lies_outside_is_named_with_a_remedy_here_and_in_the_configuration(tmp_path, name, value, sentence):
    for check in (
        lambda: check_training_arguments(SimpleNamespace(**{name: value})),
        lambda: tiny_config(tmp_path, **{name: value}),
    ):
        with pytest.raises(LiftError) as error:
            check()
        assert str(error.value).startswith(sentence)


def test_values_with_a_meaning_pass(tmp_path):
    for options in (
        {"max_steps": -1, "num_train_epochs": 0.1},
        {"max_grad_norm": 0.0, "learning_rate": 0.0, "weight_decay": 0.0},
        {"logging_steps": 0.1, "save_steps": 0.5, "eval_steps": 0.25, "eval_strategy": "steps"},
        {"logging_steps": 5.0, "warmup_steps": 10, "save_total_limit": None},
        {"seed": 2**32 - 1, "data_seed": 0, "neftune_noise_alpha": 5.0},
    ):
        config = tiny_config(tmp_path, **options)
        assert {name: getattr(config, name) for name in options} == options


def test_the_defaults_pass(tmp_path):
    check_training_arguments(LiftConfig(str(tmp_path), use_cpu=True))
    check_training_arguments(SimpleNamespace())
