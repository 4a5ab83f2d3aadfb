"""Random tokens in the place of masks: which, where, and that nothing else of a method changes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from lift.objectives import METHODS
from lift.objectives.blocks import Blocks
from lift.objectives.micro_batch import build_training_batch, whole_step
from lift.objectives.uniform_noise import UniformNoise, draw_token_ids
from lift_kernels.philox import philox_4x32
from tests.lift.support.clean_rows import LENGTH, MASK, NUM_ROWS, clean_rows, scores_of_ranked_rows

VOCAB = MASK  # the rows' tokens lie below it, so it stands for a corrupted one
OPTIONS = [
    *({"method": method} for method in METHODS), {"method": "lift3", "one_forward": True},
    {"method": "lift3", "complementary": True}, {"method": "gift", "complementary": True},
]  # fmt: skip


def test_a_token_is_named_by_seed_example_and_position():
    seed, ids = 77, torch.tensor([5, 2**33 + 5, 9])
    tokens = draw_token_ids(seed, ids, 6, 1000)
    for row, example in enumerate(ids.tolist()):
        for position in range(6):
            word = philox_4x32(seed, position, example & 0xFFFFFFFF, example >> 32, 5)[0].item()
            assert tokens[row, position] == word * 1000 // 2**32
    assert torch.equal(draw_token_ids(seed, ids.flip(0), 4, 1000), tokens.flip(0)[:, :4])
    assert not torch.equal(draw_token_ids(seed + 1, ids, 6, 1000), tokens)


def test_all_tokens_are_alike_likely():
    counts = torch.bincount(draw_token_ids(3, torch.arange(300), 100, 10).flatten(), minlength=10)
    assert len(counts) == 10 and (counts - 3000).abs().max() < 5 * 3000**0.5


def test_only_what_is_corrupted_is_replaced_and_in_both_views_alike():
    noise = UniformNoise(VOCAB, 4, torch.arange(3))
    row = torch.tensor([[1, VOCAB, VOCAB, 2]]).repeat(6, 1)
    row[3:, 1] = 7
    tokens = draw_token_ids(4, torch.arange(3), 4, VOCAB)
    found = noise.fill(row)
    assert (found[:, 0] == 1).all() and (found[:, 3] == 2).all() and (found[3:, 1] == 7).all()
    assert torch.equal(found[:3, 1], tokens[:, 1]) and torch.equal(found[:, 2], tokens[:, 2].repeat(2))


def complete(rows):
    rows = rows.asking_about_noise()
    return whole_step([rows], lambda sums: sums)[0] if METHODS[rows.options.method].reads_step else rows


@pytest.mark.parametrize("in_blocks", [False, True])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_batch_is_that_of_masks_with_tokens_in_their_place(options, in_blocks):
    if in_blocks and METHODS[options["method"]].whole_rows:
        pytest.skip("blockwise takes whole rows")

    def rows(corruption):
        made = clean_rows(**options, corruption=corruption, keep_rounding="nearest")
        return made.folded(Blocks.of_rows(NUM_ROWS, LENGTH, LENGTH)) if in_blocks else made

    masked, given = build_training_batch(complete(rows("mask"))), rows("uniform")
    found = build_training_batch(complete(given))
    views = len(masked.batch.labels) // NUM_ROWS
    tokens = draw_token_ids(given.seed, given.example_id, LENGTH, VOCAB).repeat(views, 1)
    is_corrupted = masked.batch.input_ids == VOCAB
    assert is_corrupted.any()
    assert torch.equal(found.batch.input_ids, torch.where(is_corrupted, tokens, masked.batch.input_ids))
    for ours, theirs in zip(found.batch[1:], masked.batch[1:], strict=True):
        assert torch.equal(ours, theirs)
    assert torch.equal(found.maskable, masked.maskable)


@pytest.mark.parametrize("method", ["lift3", "gift"])
def test_the_model_is_asked_about_the_same_noise_that_is_trained(method):
    asked = []

    def answer(input_ids, labels, *others):
        asked.append((input_ids, labels))
        return scores_of_ranked_rows(input_ids, labels, *others) if others else torch.ones(input_ids.shape)

    rows = clean_rows(method, corruption="uniform", score=answer, entropy=answer)
    prepared = build_training_batch(complete(rows))
    ((input_ids, labels),) = asked
    is_corrupted, is_trained = labels != -100, prepared.batch.labels != -100
    assert (input_ids < VOCAB).all() and torch.equal(input_ids[~is_corrupted], rows.clean_ids[~is_corrupted])
    assert (is_trained & is_corrupted).sum() == is_trained.sum() < is_corrupted.sum()
    assert torch.equal(prepared.batch.input_ids[is_trained], input_ids[is_trained])
    assert torch.equal(prepared.batch.input_ids[~is_trained], rows.clean_ids[~is_trained])


@pytest.mark.parametrize("pad_in_loss", [True, False])
@pytest.mark.parametrize(
    "options", [{"method": "sft"}, {"method": "lift3", "complementary": True}, {"method": "mirror"}], ids=str
)
def test_all_positions_are_trained_alike(options, pad_in_loss):
    plain = build_training_batch(complete(clean_rows(**options, corruption="uniform", pad_in_loss=pad_in_loss)))
    rows = clean_rows(
        **options, corruption="uniform", loss_positions="all", time_scaling=False, pad_in_loss=pad_in_loss
    )
    prepared = build_training_batch(complete(rows))
    assert torch.equal(prepared.batch.input_ids, plain.batch.input_ids)
    views = len(prepared.maskable) // NUM_ROWS
    assert torch.equal(prepared.batch.labels, rows.clean_ids.repeat(views, 1).where(prepared.maskable, -100))
    assert (prepared.batch.token_weight == 1).all()
    assert prepared.rejected is None  # nothing is left out, so no share of what was chosen is logged
    # NeMo's: the mean cross-entropy of these positions, whatever was corrupted.
    losses = torch.rand(prepared.batch.labels.shape)
    total = (losses * prepared.batch.token_weight)[prepared.batch.labels != -100].sum() / prepared.batch.denominator
    torch.testing.assert_close(total, losses[prepared.maskable].mean())


def test_masks_are_left_as_they_are():
    rows = clean_rows("sft")
    assert rows.uniform_noise is None and rows.asking_about_noise() is rows
    uniform = replace(rows, options=clean_rows("sft", corruption="uniform").options)
    assert uniform.uniform_noise == UniformNoise(MASK, rows.seed, rows.example_id)
