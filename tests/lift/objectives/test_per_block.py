"""Every method per block: rows of their own whose model sees the rest of the row."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from lift.objectives import METHODS, Draws, choose_order, overmask_rate
from lift.objectives.blocks import Blocks
from lift.objectives.micro_batch import MicroBatch, build_training_batch, whole_step
from tests.lift.support.clean_rows import LENGTH, NUM_ROWS, clean_rows

OPTIONS = [
    *({"method": method} for method in METHODS), {"method": "lift3", "one_forward": True},
    {"method": "lift2", "one_forward": True, "learnability": "soft"}, {"method": "lift3", "complementary": True},
    {"method": "sft", "complementary": True}, {"method": "cart", "complementary": True},
    {"method": "gift", "complementary": True}, {"method": "lift3", "middle_select": "unordered"},
]  # fmt: skip


def per_block(rows: MicroBatch, size: int) -> MicroBatch:
    """`rows` per block, with draws of their own: of blocks of whole rows, those of the rows."""
    blocks = Blocks.of_rows(NUM_ROWS, LENGTH, size)
    if size < LENGTH:
        generator = torch.Generator().manual_seed(3)
        u, v = torch.rand(2, NUM_ROWS * blocks.per_row, generator=generator)
        draws = Draws(u, u * 0.999 + 1e-3)
        if METHODS[rows.options.method].selects_tokens:
            order = choose_order(draws.timestep, rows.options.method)
            draws = Draws(u, draws.timestep, overmask_rate(u, v), order)
        rows = replace(rows, draws=draws)
    return rows.folded(blocks)


def complete(rows: MicroBatch) -> MicroBatch:
    return whole_step([rows], lambda sums: sums)[0] if METHODS[rows.options.method].reads_step else rows


@pytest.mark.parametrize("pad_in_loss", [True, False])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_block_of_the_whole_row_is_the_row(options, pad_in_loss):
    """To the bit: tokens, labels, weights, denominator."""
    rows = clean_rows(**options, pad_in_loss=pad_in_loss, keep_rounding="nearest")
    torch.manual_seed(0)
    expected = build_training_batch(complete(rows))
    torch.manual_seed(0)
    found = build_training_batch(complete(per_block(rows, LENGTH)))
    for ours, theirs in zip(found.batch, expected.batch, strict=True):
        assert torch.equal(ours, theirs)
    assert torch.equal(found.maskable, expected.maskable)
    if expected.one_forward is not None:
        assert torch.equal(found.one_forward.num_keep, expected.one_forward.num_keep)
        assert torch.equal(found.one_forward.parts.flatten(), torch.arange(NUM_ROWS * LENGTH))


@pytest.mark.parametrize("options", [{"method": "lift3"}, {"method": "sft", "complementary": True}], ids=str)
def test_rows_do_not_depend_on_the_others(options):
    """In another order they are the same to the bit."""
    whole, order = clean_rows(**options), torch.randperm(NUM_ROWS)
    score = torch.rand(NUM_ROWS, LENGTH)
    whole = per_block(replace(whole, score=lambda *_: score), 6)
    blocks = whole.blocks
    units = (order[:, None] * blocks.per_row + torch.arange(blocks.per_row)).flatten()
    parts = ("clean_ids", "maskable", "example_id", "attention_mask", "lengths")
    moved = replace(
        whole, **{name: getattr(whole, name)[units] for name in parts}, score=lambda *_: blocks.fold(score[order], 0),
        draws=Draws(*(None if part is None else part[units] for part in vars(whole.draws).values())),
    )  # fmt: skip
    theirs, ours = build_training_batch(whole).batch, build_training_batch(moved).batch
    rows = torch.cat([order + view * NUM_ROWS for view in range(len(ours.labels) // NUM_ROWS)])
    for name in ("input_ids", "labels", "token_weight"):
        assert torch.equal(getattr(ours, name), getattr(theirs, name)[rows])


@pytest.mark.parametrize("size", [4, 6])
@pytest.mark.parametrize("method", ["lift2", "lift3", "easy", "middle", "hard"])
def test_tokens_compete_within_their_block(method, size):
    """Of each block its own number at its own time, the easiest or hardest of the block."""
    rows = clean_rows(method, keep_rounding="nearest")
    score = clean_rows("lift3").score(rows.clean_ids, rows.clean_ids, torch.ones(NUM_ROWS))
    rows = replace(rows, score=lambda ids, labels, mode: score)
    folded = per_block(rows, size)
    prepared, draws, blocks = build_training_batch(folded), folded.draws, folded.blocks
    is_kept = prepared.batch.labels != -100
    is_masked = is_kept | prepared.rejected if method != "middle" else None
    assert torch.equal(prepared.batch.token_weight[:, 0], 1 / draws.timestep.view(NUM_ROWS, -1)[:, 0])
    for unit in range(len(draws.u)):
        row, number = divmod(unit, blocks.per_row)
        own = slice(number * size, min((number + 1) * size, LENGTH))
        mode, kept = draws.order[unit], is_kept[row, own]
        if method != "middle" and mode != 0:
            masked = is_masked[row, own]
            share = draws.timestep[unit] / (draws.timestep[unit] + draws.rho[unit])
            assert kept.sum() == torch.round(masked.sum() * share).clamp(max=masked.sum())
            ranked = sorted(masked.nonzero().flatten().tolist(), key=lambda i: -mode * score[row, own][i])
            assert sorted(ranked[: int(kept.sum())]) == kept.nonzero().flatten().tolist()
    assert not (is_kept & ~rows.maskable).any() and is_kept.any()


def test_the_context_of_cart_is_what_the_block_sees():
    """Its own visible tokens, and every token of the blocks before."""
    rows = clean_rows("cart", pad_in_loss=False)
    folded = per_block(rows, 6)
    batch = build_training_batch(folded).batch
    is_masked = batch.labels != -100
    time = folded.draws.timestep.view(NUM_ROWS, -1)
    for row, i in is_masked.nonzero().tolist():
        start, end = i // 6 * 6, min(i // 6 * 6 + 6, LENGTH)
        own = [j for j in range(start, end) if not is_masked[row, j] and rows.attention_mask[row, j]]
        context = sum(0.05 * 0.9 ** (abs(i - j) - 1) for j in [*range(start), *own] if j != i)
        assert batch.token_weight[row, i].item() == pytest.approx(context / time[row, i // 6].item(), rel=1e-5)


@pytest.mark.parametrize("method", ["sft", "gift", "cart"])
def test_two_views_mask_every_token_once(method):
    rows = clean_rows(method, complementary=True, pad_in_loss=False)
    batch = build_training_batch(complete(per_block(rows, 6))).batch
    first, second = (batch.labels != -100).chunk(2)
    assert torch.equal(first ^ second, rows.maskable) and not (first & second).any() and first.any() and second.any()
