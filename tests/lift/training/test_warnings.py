"""Warnings for configurations that run but mislead."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import nn

from lift.training.warnings import warnings_for
from tests.lift.support.tiny import tiny_model
from tests.lift.support.trainers import (
    make_trainer,
)


def test_trained_weights_too_narrow_for_small_steps_are_pointed_out(tmp_path, caplog):
    with caplog.at_level("WARNING", "lift"):
        make_trainer(tmp_path)
        assert not caplog.messages
        make_trainer(tmp_path, tiny_model().bfloat16())
    assert "weights in bfloat16 are trained as they are, and small steps vanish" in caplog.messages[0]


def sentences(model, attention_mask="tokens", pad_in_loss=False, takes_canvas=False, **options) -> list[str]:
    family = SimpleNamespace(attention_mask=attention_mask, takes_canvas=takes_canvas)
    defaults = {"pad_in_loss": pad_in_loss, "corruption": "mask", "attention": "full"}
    return list(warnings_for(model, family, SimpleNamespace(**(defaults | options))))


def test_blocks_that_are_not_decoded_as_they_are_trained_are_pointed_out():
    in_blocks = {"corruption": "uniform", "attention": "block"}
    (sentence,) = sentences(nn.Linear(2, 2), **in_blocks)
    assert sentence.startswith(
        "a model without a mask token is decoded on whole rows, and this one is trained in blocks"
    )
    for other in ({"corruption": "mask"}, {"attention": "full"}, {"takes_canvas": True}):
        assert not sentences(nn.Linear(2, 2), **(in_blocks | other))


def test_padding_that_is_attended_to_against_the_users_wish_is_pointed_out():
    (sentence,) = sentences(nn.Linear(2, 2), "ignored")
    assert sentence.startswith("this model ignores attention masks, so padding is attended to though pad_in_loss=False")
    assert not sentences(nn.Linear(2, 2), "ignored", pad_in_loss=True)
    assert not sentences(nn.Linear(2, 2))


def test_each_narrow_dtype_of_trained_weights_is_pointed_out_once():
    model = nn.ModuleList([nn.Linear(2, 2, dtype=dtype) for dtype in (torch.float16, torch.bfloat16, torch.float32)])
    assert [sentence.split(" are trained")[0] for sentence in sentences(model)] == [
        "weights in bfloat16", "weights in float16",
    ]  # fmt: skip
    model[:2].requires_grad_(False)  # as under an adapter
    assert not sentences(model)
