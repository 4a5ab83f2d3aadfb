"""Losses at several times against the model's own logits, of rows and of blocks, and what their masks depend on."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from lift.analysis.loss_by_time import losses_by_time
from lift.analysis.measure import Example
from lift.models.attention import pairs_as_taken
from lift.models.batches import BatchSize
from lift.models.transformers_versions import keeps_packed_examples_apart
from lift.objectives.forward_process import step_seed
from lift_kernels import apply_lift_kernels, reference
from tests.lift.analysis.conftest import MASK
from tests.lift.support.labelled import tiny_dream
from tests.lift.support.tiny import tiny_model

NEEDS_PAIRS = pytest.mark.skipif(
    not keeps_packed_examples_apart(), reason="this transformers' ModernBERT takes no mask of pairs"
)

TIMES, NUM_MASKS, SEED, SIZE = (0.1, 0.5, 1.0), 3, 7, 4


def model_of(name):
    """With weights so large that a token's prediction depends on the others."""
    model = (tiny_model() if name == "bert" else tiny_dream()).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4 if parameter.dim() > 1 else 1)
    return model


def examples_of(rows, *, predicts_next=False):
    found = []
    for row in list(rows)[:6]:
        maskable = np.arange(len(row["input_ids"])) >= 2
        found.append(Example(row["example_id"], np.array(row["input_ids"]), maskable))
    found[2].maskable[:] = False  # no response at all
    return found


def measure(model, examples, *, batch_size=5, **options):
    return losses_by_time(
        apply_lift_kernels(model), examples, TIMES, num_masks=NUM_MASKS, mask_token_id=MASK, seed=SEED,
        batch_size=BatchSize(batch_size), **options,
    )  # fmt: skip


def masks_of(example, mask):
    """The uniform draws, by the generator's definition, one at a time."""
    seed = step_seed(SEED, mask)
    words = [reference.random_word(seed, example.number, position, 0) for position in range(len(example.ids))]
    return np.array([(word >> 8) / 2**24 for word in words])


def log_probs(model, clean, noisy, starts):
    """log p (L, V) of a noisy row: each block in a forward of its own behind the clean blocks before it."""
    found, shifts = [], model.config.model_type == "Dream"
    for start, end in pairwise([*starts, len(clean)]):
        block = torch.searchsorted(torch.tensor(starts), torch.arange(end), right=True)
        ids = torch.cat([clean[:start], noisy[start:end]])[None]
        mask = pairs_as_taken(model, (block[:, None] >= block)[None, None])
        with torch.no_grad():
            logits = model(input_ids=ids, attention_mask=mask, position_ids=torch.arange(end)[None]).logits
        found.append(logits[0, start:].double().log_softmax(-1))
    found = torch.cat(found)
    return torch.cat([found[:1], found[:-1]]) if shifts else found


@pytest.mark.parametrize(
    ("name", "size", "from_answer"),
    [
        pytest.param("bert", None, False, marks=NEEDS_PAIRS),
        pytest.param("bert", SIZE, False, marks=NEEDS_PAIRS),
        pytest.param("bert", SIZE, True, marks=NEEDS_PAIRS),
        ("dream", SIZE, False),
        ("dream", None, False),
    ],
)
def test_a_loss_is_that_of_the_models_own_logits(rows, name, size, from_answer):
    model, examples = model_of(name), examples_of(rows)
    found, truth = measure(model, examples, block_size=size, from_answer=from_answer), []
    for example in examples:
        clean = torch.from_numpy(example.ids)
        first = int(example.maskable.argmax()) if from_answer else 0  # less than a block
        starts = [*range(0, first, 999), *range(first, len(clean), size or 999)]
        of_blocks = [slice(*pair) for pair in pairwise([*starts, len(clean)])]
        losses = np.full((len(of_blocks), len(TIMES), NUM_MASKS), np.nan)
        for mask in range(NUM_MASKS):
            draws = masks_of(example, mask)
            for place, time in enumerate(TIMES):
                is_masked = (draws < time) & example.maskable
                noisy = clean.masked_fill(torch.from_numpy(is_masked), MASK)
                log_prob = log_probs(model, clean, noisy, starts).gather(1, clean[:, None])[:, 0].numpy()
                for number, part in enumerate(of_blocks):
                    if example.maskable[part].any():
                        total = -log_prob[part][is_masked[part]].sum()
                        losses[number, place, mask] = total / time / example.maskable[part].sum()
        truth.append(losses)
    truth = np.concatenate(truth)
    if from_answer:  # rows of one length have as many blocks, of which some may be empty
        found, truth = (losses[~np.isnan(losses[:, 0, 0])] for losses in (found, truth))
    assert from_answer or np.isnan(truth).any()
    assert (truth > 0).sum() > 20 and (truth == 0).any()
    np.testing.assert_allclose(found, truth, rtol=2e-5, atol=1e-6)


def test_batch_size_and_the_other_examples_change_nothing(rows):
    model, examples = model_of("bert"), examples_of(rows)
    done = []
    found = measure(model, examples, advance=done.append)
    assert sum(done) == len(TIMES) * NUM_MASKS * len(examples)
    np.testing.assert_allclose(measure(model, examples, batch_size="auto"), found, rtol=1e-5)
    np.testing.assert_allclose(measure(model, examples[3:5], batch_size=1), found[3:5], rtol=1e-5)


def test_dropout_is_off_and_the_mode_stays(rows):
    model, examples = tiny_model(dropout=0.5).train(), examples_of(rows)
    assert np.array_equal(measure(model, examples), measure(model, examples), equal_nan=True)
    assert model.training


def test_what_is_not_finite_is_seen(rows):
    model = tiny_model()
    with torch.no_grad():
        next(model.parameters()).fill_(torch.nan)
    assert np.isinf(measure(model, examples_of(rows)[:1])).any()
