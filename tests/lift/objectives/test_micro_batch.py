"""What a `build` takes and gives."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module

import pytest
import torch

from lift.objectives import METHODS, Draws
from lift.objectives.micro_batch import build_training_batch
from lift_kernels.models import OneForward
from tests.lift.support.clean_rows import MASK, PAD, clean_rows


@pytest.mark.parametrize("method", METHODS)
def test_the_method_of_the_options_builds(method, monkeypatch):
    rows, given = clean_rows(method), []
    module = import_module(f"lift.objectives.{METHODS[method].module}")
    monkeypatch.setattr(module, "build", lambda rows: given.append(rows) or "built")
    assert build_training_batch(rows) == "built" and given == [rows]


@pytest.mark.parametrize("pad_in_loss", [True, False])
@pytest.mark.parametrize("method", METHODS)
def test_what_is_built_trains_masked_tokens_of_the_response(method, pad_in_loss):
    """Of every method, on rows of unequal length: labels are the clean tokens, and exactly these are masked."""
    rows = clean_rows(method, pad_in_loss=pad_in_loss)
    prepared = build_training_batch(rows)
    entry, is_trained = METHODS[method], prepared.batch.labels != -100
    clean, maskable = (values.repeat(entry.num_views, 1) for values in (rows.clean_ids, rows.maskable))
    assert is_trained.any() and not (is_trained & ~maskable).any()
    assert torch.equal(prepared.batch.labels, clean.where(is_trained, -100))
    if not entry.whole_rows:  # blockwise masks what it does not train too
        assert torch.equal(prepared.batch.input_ids, clean.masked_fill(is_trained, MASK))
        assert torch.equal(prepared.maskable, is_trained if entry.own_denominator else maskable)
    assert (prepared.batch.token_weight[is_trained] > 0).all() and prepared.batch.token_weight.isfinite().all()
    assert prepared.timestep is rows.draws.timestep


def test_padding_is_what_lies_beyond_a_row():
    rows = clean_rows("sft")
    assert torch.equal(rows.is_padding, rows.clean_ids == PAD) and rows.is_padding.any()
    assert not replace(rows, lengths=None).is_padding.any()


def test_draws_move_to_a_device_and_what_is_missing_stays_so():
    time = torch.ones(2)
    moved = Draws(time, time, time, torch.ones(2, dtype=torch.int64)).to(torch.device("meta"))
    assert {values.device.type for values in (moved.u, moved.timestep, moved.rho, moved.order)} == {"meta"}
    assert moved.order.dtype == torch.int64
    moved = Draws(torch.zeros(2), time).to(torch.device("cpu"))
    assert moved.rho is None and moved.order is None
    assert moved.u.tolist() == [0, 0] and moved.timestep.tolist() == [1, 1]


def test_a_mask_is_a_function_of_three_things():
    rows = clean_rows("sft")
    assert rows.mask_draw == {"mask_token_id": MASK, "seed": 11, "example_id": rows.example_id}


def test_the_arguments_of_one_forward_are_those_of_the_loss():
    import inspect

    from lift_kernels import lift_cross_entropy

    assert set(OneForward._fields) - {"parts"} <= inspect.signature(lift_cross_entropy).parameters.keys()
