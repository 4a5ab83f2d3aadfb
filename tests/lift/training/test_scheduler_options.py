"""What a schedule takes, as transformers builds it."""

from __future__ import annotations

import pytest
import torch
from transformers import get_scheduler

from lift.errors import LiftError
from tests.lift.support.tiny import tiny_config


@pytest.mark.parametrize(
    ("kind", "kwargs", "takes"),
    [
        ("cosine", {"num_cycles": 1, "foo": 1}, "takes num_cycles: correct it"),
        ("linear", {"foo": 1}, "takes no options: correct it"),
        ("warmup_stable_decay", {"foo": 1}, "takes num_decay_steps, .*min_lr_ratio"),
    ],
)
def test_another_schedules_option_is_named_with_those_there_are(tmp_path, kind, kwargs, takes):
    with pytest.raises(LiftError, match=rf"^lr_scheduler_kwargs has 'foo', and lr_scheduler_type={kind} {takes}"):
        tiny_config(tmp_path, lr_scheduler_type=kind, lr_scheduler_kwargs=kwargs)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    with pytest.raises(TypeError, match="foo"):
        get_scheduler(kind, optimizer, 1, 2, scheduler_specific_kwargs=kwargs)


@pytest.mark.parametrize(
    ("kind", "kwargs"),
    [("cosine", {"num_cycles": 1}), ("cosine_with_min_lr", {"min_lr": 0.1}), ("reduce_lr_on_plateau", {"factor": 0.5})],
)
def test_its_own_options_are_taken(tmp_path, kind, kwargs):
    options = {"lr_scheduler_type": kind, "lr_scheduler_kwargs": kwargs}
    assert tiny_config(tmp_path, eval_strategy="epoch", **options).lr_scheduler_kwargs == kwargs
