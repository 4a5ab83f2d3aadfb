"""What a command line leaves open about evaluations and checkpoints, in both stages alike."""

from __future__ import annotations

import pytest

from lift.cli.train_arguments import check_quickly, parse
from lift.errors import LiftError

MODEL = ["--model_name_or_path", "m", "--train_data", "d", "--use_cpu", "true"]


def plan(tmp_path, *flags: str) -> tuple:
    words = [*MODEL, "--output_dir", str(tmp_path / "out"), *flags]
    check_quickly(words)
    config = parse(words).config
    return (
        str(config.eval_strategy.value), config.eval_steps, str(config.save_strategy.value), config.save_steps,
        config.load_best_model_at_end, config.metric_for_best_model,
    )  # fmt: skip


STOP = ("--early_stopping_patience", "3")
BEST = ("--load_best_model_at_end", "true")


@pytest.mark.parametrize(
    ("flags", "planned"),
    [
        ((), ("steps", 0.1, "steps", 500, False, None)),
        (("--eval_strategy", "no"), ("no", None, "steps", 500, False, None)),
        (("--eval-strategy=epoch",), ("epoch", None, "steps", 500, False, None)),
        (("--eval_steps", "7"), ("steps", 7, "steps", 500, False, None)),
        (("--save_strategy", "no"), ("steps", 0.1, "no", 500, False, None)),
        (STOP, ("steps", 0.1, "steps", 0.1, True, "eval_loss")),
        ((*STOP, "--eval_steps", "7"), ("steps", 7, "steps", 7, True, "eval_loss")),
        ((*STOP, "--save_steps", "7"), ("steps", 7, "steps", 7, True, "eval_loss")),
        ((*STOP, "--save_steps", "6", "--eval_steps", "3"), ("steps", 3, "steps", 6, True, "eval_loss")),
        ((*STOP, "--eval_strategy", "epoch"), ("epoch", None, "epoch", 500, True, "eval_loss")),
        ((*STOP, "--save_strategy", "epoch"), ("epoch", None, "epoch", 500, True, "eval_loss")),
        (
            (*STOP, "--save_strategy", "no", "--load_best_model_at_end", "false"),
            ("steps", 0.1, "no", 500, False, "eval_loss"),
        ),
        ((*STOP, "--metric_for_best_model", "loss"), ("steps", 0.1, "steps", 0.1, True, "loss")),
        (BEST, ("steps", 0.1, "steps", 0.1, True, "loss")),
    ],
    ids=lambda value: " ".join(value) if value and isinstance(value[0], str) and value[0].startswith("--") else "",
)
def test_what_is_left_open_follows_from_the_rest(tmp_path, flags, planned):
    assert plan(tmp_path, *flags) == planned


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (
            (*STOP, "--save_strategy", "no"),
            "early_stopping_patience goes back to the best checkpoint, and save_strategy=no saves none: set "
            "save_strategy to steps or epoch, or load_best_model_at_end to false.",
        ),
        (
            (*BEST, "--save_strategy", "no"),
            "load_best_model_at_end goes back to the best checkpoint, and save_strategy=no saves none: set "
            "save_strategy to steps or epoch, or leave it out.",
        ),
        (
            (*STOP, "--eval_strategy", "no"),
            "early_stopping_patience needs evaluations: set eval_strategy to steps or epoch, or leave it out.",
        ),
        (("--early_stopping_patience", "0"), "early_stopping_patience must be at least 1, got 0."),
    ],
)
def test_what_cannot_be_is_said_in_both_stages(tmp_path, flags, sentence):
    words = [*MODEL, "--output_dir", str(tmp_path / "out"), *flags]
    for stage in (check_quickly, parse):
        with pytest.raises(LiftError) as error:
            stage(words)
        assert str(error.value) == sentence
