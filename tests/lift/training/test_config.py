"""`LiftConfig`: what it refuses, and what it sets for the user."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from lift import LiftConfig, LiftError
from lift.objectives import PUBLISHED
from tests.lift.support.tiny import tiny_config


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"pad_to": "multiple"}, "pad_to must be one of longest, max_length, got 'multiple'"),
        ({"max_length": 0}, "max_length must be at least 1, got 0"),
        ({"pad_to_multiple_of": 0}, "pad_to_multiple_of must be at least 1, got 0"),
    ],
)
def test_bad_widths(tmp_path, options, error):
    with pytest.raises(LiftError, match=error):
        tiny_config(tmp_path, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"method": "lift4"},
            "method must be one of sft, lift2, lift3, gift, cart, ppots, mirror, blockwise, confidence, puma, margin, easy, middle, hard, got 'lift4'",
        ),
        ({"remove_unused_columns": True}, "remove_unused_columns must be False"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"packing": True}, "packing leaves no padding to train on: set pad_in_loss=False, or packing=False"),
        (
            {"packing": True, "pad_in_loss": False, "method": "cart"},
            "method='cart' weighs a token by its row's context",
        ),
        (
            {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": "reentrant"},
            "gradient_checkpointing_kwargs must be a mapping, JSON on the command line, got 'reentrant'",
        ),
    ],
    ids=lambda value: next(reversed(value)) if isinstance(value, dict) else "",
)
def test_a_field_outside_its_range(tmp_path, options, message):
    with pytest.raises(LiftError, match=message):
        tiny_config(tmp_path, **options)


def test_packing_goes_with_every_other_method(tmp_path):
    assert tiny_config(tmp_path, packing=True, pad_in_loss=False, method="gift", seed=0, max_length=1).packing


def test_the_published_options_are_set_with_the_configuration(tmp_path):
    config = tiny_config(tmp_path, reference_quirks=True)
    assert {name: getattr(config, name) for name in PUBLISHED} == PUBLISHED


@pytest.mark.parametrize(
    ("given", "kept"),
    [(None, {}), ({"every_n_layers": 2}, {"every_n_layers": 2}), ({"use_reentrant": True}, {"use_reentrant": True})],
    ids=str,
)
def test_checkpointing_is_not_reentrant_unless_asked(tmp_path, given, kept):
    config = tiny_config(tmp_path, gradient_checkpointing=True, gradient_checkpointing_kwargs=given)
    assert config.gradient_checkpointing_kwargs == {"use_reentrant": False} | kept
    assert tiny_config(tmp_path).gradient_checkpointing_kwargs is None


def test_processes_without_an_accelerator_find_each_other(tmp_path, monkeypatch):
    """By use_cpu, which DeepSpeed does not survive: with it, by a backend named."""
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    config = LiftConfig(str(tmp_path), dataloader_pin_memory=True)
    assert config.use_cpu and config.dataloader_pin_memory is False
    for deepspeed, environment, backend, wanted in (
        ("zero.json", "false", None, (False, "gloo")),
        (None, "true", "mpi", (False, "mpi")),
        (None, "false", None, (True, None)),
    ):
        monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", environment)
        args = SimpleNamespace(deepspeed=deepspeed, use_cpu=False, ddp_backend=backend)
        LiftConfig._join_processes_on_cpu(args)
        assert (args.use_cpu, args.ddp_backend) == wanted


@pytest.mark.parametrize(
    ("options", "eval_steps"),
    [
        ({}, 0.1),
        ({"eval_steps": 7}, 7),
        ({"logging_steps": 3}, 0.1),
        ({"load_best_model_at_end": True, "save_strategy": "steps"}, 500),
        ({"load_best_model_at_end": True, "save_strategy": "steps", "save_steps": 30}, 30),
        ({"load_best_model_at_end": True, "save_strategy": "steps", "save_steps": 30, "eval_steps": 10}, 10),
    ],
    ids=str,
)
def test_evaluations_in_steps_are_as_frequent_as_asked_or_ten_to_a_run(tmp_path, options, eval_steps):
    assert tiny_config(tmp_path, eval_strategy="steps", **options).eval_steps == eval_steps
    assert tiny_config(tmp_path).eval_strategy == "no"


def test_what_stands_otherwise_than_in_transformers(tmp_path):
    config = LiftConfig(str(tmp_path), use_cpu=True)
    assert (config.max_length, config.pad_to, config.pad_to_multiple_of, config.packing) == (
        512,
        "longest",
        None,
        False,
    )
    assert config.remove_unused_columns is False and config.disable_tqdm is False
    assert config.logging_nan_inf_filter is False  # a loss that is not finite is seen
    assert (config.method, config.pad_in_loss, config.loss_normalizer) == ("lift3", True, "token")
