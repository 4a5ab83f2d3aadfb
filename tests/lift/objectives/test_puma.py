"""The rules of a visit to the pool, against the published ones on small whole numbers, and the loss."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
import torch

from lift.objectives import step_seed
from lift.objectives.micro_batch import build_training_batch
from lift.objectives.puma import mask_entering, num_visible, phase_of, puma_batch, reveal, visit_id
from lift_kernels import linear_cross_entropy
from tests.lift.support.clean_rows import LENGTH, MASK, NUM_ROWS, PAD, PROMPT, clean_rows
from tests.lift.support.pool_rules import SEED, next_mask, wanted

COUNTS = [1, 2, 3, 7, 12, 0]  # tokens of the responses


def responses(counts=COUNTS, length=14) -> torch.Tensor:
    """Behind prompts of unequal length."""
    place = torch.arange(length)
    first = torch.arange(len(counts))[:, None] % 3
    return (place >= first) & (place < first + torch.tensor(counts)[:, None])


def test_a_visit_has_the_name_of_its_row_and_its_number():
    ids = [0, 3, 2**32 + 7, 5 * 2**32, 2**62 + 12345]
    for number in (0, 1, 9):
        names = visit_id(torch.tensor(ids), torch.full((5,), number))
        assert names.tolist() == [step_seed(row, number) for row in ids]


@pytest.mark.parametrize("num_phases", [1, 3, 8])
def test_a_phase_shows_a_share_between_its_bounds(num_phases):
    visits = torch.arange(400)
    counts = visits % 30
    for phase in range(num_phases):
        found = num_visible(torch.full_like(visits, phase), counts, visits, num_phases=num_phases, seed=SEED)
        truth = [wanted(phase, n, v, num_phases) for n, v in zip(counts.tolist(), visits.tolist(), strict=True)]
        assert found.tolist() == truth
        assert len(set(found[counts == 29].tolist())) > 1  # it is drawn


@pytest.mark.parametrize("num_phases", [1, 4, 8])
def test_a_visit_goes_as_the_description_has_it(num_phases):
    response = responses()
    visits = torch.arange(len(COUNTS)) * 3 + 2
    phase = torch.arange(len(COUNTS)) % num_phases
    masked = mask_entering(response, phase, visits, num_phases=num_phases, seed=SEED)
    for row, n in enumerate(COUNTS):
        assert masked[row].sum() == n - wanted(int(phase[row]), n, int(visits[row]), num_phases)
        assert not (masked[row] & ~response[row]).any()
    generator = torch.Generator().manual_seed(1)
    num_steps_that_show = 0
    for _ in range(num_phases):
        score = -torch.randint(1, 4, masked.shape, generator=generator).float()  # with ties
        phase = phase + 1
        truth = [
            next_mask(*(values[row].tolist() for values in (masked, response, score, phase, visits)), num_phases)
            for row in range(len(COUNTS))
        ]
        found = reveal(masked, response, score, phase, visits, num_phases=num_phases, seed=SEED)
        assert found.tolist() == truth
        assert (found.sum(1) >= torch.tensor(COUNTS).clamp(max=1)).all()  # something is always left to train
        num_steps_that_show += int((found != masked).any())
        masked = found
    assert num_phases == 1 or num_steps_that_show > 1


def test_a_threshold_puts_back_whatever_the_model_is_surer_of_and_moves_the_phase_on():
    counts, num_phases = [8, 8, 5, 3, 1], 4
    response = responses(counts)
    visits, phase = torch.arange(5), torch.tensor([1, 4, 3, 0, 1])
    masked = response.clone()
    score = torch.full(masked.shape, 0.4).log()
    score[:, 3:9] = torch.tensor(0.7).log()
    without = reveal(masked, response, score, phase, visits, num_phases=num_phases, seed=SEED)
    found = reveal(masked, response, score, phase, visits, num_phases=num_phases, seed=SEED, threshold=0.6)
    is_sure = torch.zeros_like(masked)
    is_sure[:, 3:9] = True
    is_sure[1] = False  # that row has gone through all its phases
    assert torch.equal(found, without & ~is_sure) and not torch.equal(found, without)
    assert torch.equal(found[1], masked[1])
    for row, found_phase in enumerate(phase_of(found, response, num_phases=num_phases).tolist()):
        n, left = counts[row], int(found[row].sum())
        bounds = [Fraction(j, num_phases) for j in range(1, num_phases)]
        truth = sum(bound < Fraction(n - left, n) for bound in bounds) if left else num_phases
        assert found_phase == truth
    assert phase_of(responses([4]), responses([4]), num_phases=num_phases).tolist() == [0]
    assert phase_of(responses([0]), responses([0]), num_phases=num_phases).tolist() == [num_phases]


def test_the_loss_is_the_mean_over_rows_of_the_mean_over_their_masked_tokens():
    """Rows without a response do not count, those whose tokens are all visible do."""
    response = responses([4, 9, 0, 5])
    masked = response & (torch.rand(response.shape) < 0.7)
    masked[3] = False
    clean = torch.randint(0, 6, response.shape)
    batch = puma_batch(clean, response, masked, mask_token_id=6)
    assert torch.equal(batch.input_ids == 6, masked)
    hidden, weight = torch.randn(4, 14, 8), torch.randn(7, 8)
    loss = linear_cross_entropy(
        hidden, weight, batch.labels, token_weight=batch.token_weight, denominator=batch.denominator
    )
    log_prob = (hidden.double() @ weight.double().T).log_softmax(-1)
    truth = sum(
        -log_prob[row, masked[row]].gather(1, clean[row, masked[row], None]).mean() for row in (0, 1)
    ) / 3  # fmt: skip
    torch.testing.assert_close(loss.double(), truth, rtol=1e-5, atol=0)


@pytest.mark.parametrize("pad_in_loss", [True, False])
def test_the_mask_is_the_pools_without_padding(pad_in_loss):
    rows = clean_rows("puma", pad_in_loss=pad_in_loss)
    kept = torch.rand(NUM_ROWS, LENGTH) < 0.5
    prepared = build_training_batch(replace(rows, is_masked=kept))
    response = (rows.clean_ids != PAD) & (torch.arange(LENGTH) >= PROMPT)
    assert torch.equal(prepared.batch.labels != -100, kept & response)
    assert torch.equal(prepared.maskable.sum(1), response.any(1).long())
    assert prepared.draws is rows.draws


def test_rows_without_a_pool_are_masked_at_their_time():
    rows = clean_rows("puma")
    batch = build_training_batch(rows).batch
    for row, length in enumerate(rows.lengths):
        share = float(rows.draws.timestep[row])
        number = (batch.labels[row] != -100).sum().item()
        assert number == max(round(share * (length - PROMPT)), 1)
    again = build_training_batch(rows).batch
    assert torch.equal(again.labels, batch.labels)
    assert (batch.input_ids == MASK).float().mean(0)[PROMPT : PROMPT + 2].min() > 0.2  # anywhere
