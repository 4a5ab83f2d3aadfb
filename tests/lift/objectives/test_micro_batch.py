"""What a `build` takes and gives."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module

import pytest
import torch

from lift.objectives import METHODS, Draws
from lift.objectives.blocks import Blocks
from lift.objectives.methods import time_density_problem
from lift.objectives.micro_batch import build_training_batch
from lift_kernels.models import OneForward
from tests.lift.support.clean_rows import LENGTH, MASK, NUM_ROWS, PAD, clean_rows


@pytest.mark.parametrize("method", METHODS)
def test_the_method_of_the_options_builds(method, monkeypatch):
    rows, given = clean_rows(method), []
    rows = replace(rows, draws=replace(rows.draws, importance=None))
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
        if not entry.keeps_pool:  # puma counts rows
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
    assert Draws(time, time, importance=time).to(torch.device("meta")).importance.device.type == "meta"
    assert moved.order.dtype == torch.int64
    moved = Draws(torch.zeros(2), time).to(torch.device("cpu"))
    assert moved.rho is None and moved.order is None
    assert moved.u.tolist() == [0, 0] and moved.timestep.tolist() == [1, 1]


WEIGHTED = [
    *({"method": method} for method, entry in METHODS.items() if time_density_problem(method) is None),
    {"method": "lift3", "one_forward": True}, {"method": "lift3", "complementary": True},
]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "size"),
    [
        (options, size)
        for options in WEIGHTED
        for size in (None, 6)
        if not (size and METHODS[options["method"]].whole_rows)
    ],
    ids=str,
)
def test_importance_weighs_each_row_or_block_in_all_its_views(options, size):
    score = torch.rand(NUM_ROWS, LENGTH)
    rows = clean_rows(**options, score=lambda *_: score)
    if size is not None:
        blocks = Blocks.of_rows(*rows.clean_ids.shape, size)
        rows = replace(
            rows, draws=Draws(*(None if part is None else part[blocks.row] for part in vars(rows.draws).values()))
        )
        rows = rows.folded(blocks)
    importance = 0.5 + torch.rand(rows.draws.u.shape)
    plain = build_training_batch(replace(rows, draws=replace(rows.draws, importance=None)))
    weighted = build_training_batch(replace(rows, draws=replace(rows.draws, importance=importance)))
    factor = importance[:, None].expand(rows.clean_ids.shape)
    factor = factor if size is None else blocks.unfold(factor)
    factor = factor.repeat(len(plain.batch.labels) // len(factor), 1)
    torch.testing.assert_close(weighted.batch.token_weight, plain.batch.token_weight * factor)
    assert torch.equal(weighted.batch.labels, plain.batch.labels)
    assert weighted.batch.denominator == plain.batch.denominator
    if plain.row_weight is not None:
        torch.testing.assert_close(weighted.row_weight, plain.row_weight * importance)
        assert torch.equal(weighted.one_forward.row_weight, importance)


def test_a_mask_is_a_function_of_three_things():
    rows = clean_rows("sft")
    assert rows.mask_draw == {"mask_token_id": MASK, "seed": 11, "example_id": rows.example_id}


def test_the_arguments_of_one_forward_are_those_of_the_loss():
    import inspect

    from lift_kernels import lift_cross_entropy

    assert set(OneForward._fields) - {"parts"} <= inspect.signature(lift_cross_entropy).parameters.keys()
