from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lift.objectives import Draws, gift, gift_batch, gift_batch_of_draw, gift_rates, step_seed
from lift_kernels import linear_cross_entropy, reference
from tests.lift.support.clean_rows import MASK, NUM_ROWS, PAD, clean_rows, entropy_by_position


@pytest.mark.parametrize("time", [0.001, 0.3, 0.999])
def test_rates_are_the_formula(rows, time):
    _, response, _ = rows
    entropy = torch.rand(64, 40, dtype=torch.float64) * 3
    timestep = torch.full((64,), time, dtype=torch.float64)
    root = entropy.sqrt()
    truth = 1 - (1 - time) ** (root / root[response].mean())
    torch.testing.assert_close(gift_rates(entropy, response, timestep), truth, rtol=1e-11, atol=0)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.sampled_from([0.0, -1e-9, 1e-30, 0.5, 12.0]), min_size=6, max_size=6),
    st.sampled_from([1e-3, 0.5, 1.0]),
    st.lists(st.booleans(), min_size=6, max_size=6),
)
def test_rates_are_probabilities_whatever_the_entropies(entropies, time, response):
    entropy, response = torch.tensor([entropies]), torch.tensor([response])
    timestep = torch.tensor([time])
    rates = gift_rates(entropy, response, timestep)
    assert ((rates >= 1e-6) & (rates <= 1)).all()
    unsafe = gift_rates(entropy, response, timestep, unsafe_division=True)
    assert ((unsafe >= 0) & (unsafe <= 1)).all()
    assert (unsafe[entropy <= 0] == 0).all() and torch.equal(rates, unsafe.clamp(min=1e-6))


def test_equal_entropies_give_rate_t():
    rates = gift_rates(torch.full((2, 8), 1.7), torch.ones(2, 8, dtype=torch.bool), torch.tensor([0.2, 0.9]))
    torch.testing.assert_close(rates, torch.tensor([[0.2], [0.9]]).expand(2, 8))


def test_draws_follow_the_rates_and_weights_undo_them():
    n, length = 4000, 24
    clean = torch.randint(MASK, (n, length))
    response = (torch.arange(length) >= 8).expand(n, length)
    entropy = torch.linspace(0.1, 3, length).expand(n, length)
    time = torch.full((n,), 0.4)
    asked = {}

    def ask(input_ids, labels):
        asked.update(input_ids=input_ids, labels=labels)
        return entropy

    batch = gift_batch(clean, response, time, ask, mask_token_id=MASK, seed=5, example_id=torch.arange(n))
    assert torch.equal(asked["input_ids"], clean.masked_fill(response, MASK))
    assert torch.equal(asked["labels"], clean.where(response, -100))
    is_drawn = batch.labels != -100
    rates = gift_rates(entropy, response, time)[0]
    assert not is_drawn[:, :8].any()
    assert torch.equal(batch.input_ids, clean.masked_fill(is_drawn, MASK))
    assert torch.equal(batch.labels[is_drawn], clean[is_drawn])
    assert batch.denominator == is_drawn.sum()
    count = (is_drawn * batch.token_weight).double().mean(0)[8:]  # drawn / t_i
    deviation = ((1 - rates) / rates / n).sqrt()[8:]
    assert ((count - 1).abs() < 4 * deviation).all()


def test_a_draw_is_the_same_in_any_batch(rows):
    clean, response, ids = rows
    names = {"mask_token_id": MASK, "seed": 5}

    def run(keep):  # with equal entropies the mean is that of any batch
        some = clean[keep]
        return gift_batch(
            some, response[keep], torch.full(some.shape[:1], 0.5), lambda ids, _: torch.ones(ids.shape),
            example_id=ids[keep], **names,
        )  # fmt: skip

    some = torch.tensor([40, 3, 7])
    assert torch.equal(run(torch.arange(64)).labels[some], run(some).labels)


def loss_of(batch):
    hidden_states = torch.randn(*batch.labels.shape, 4, requires_grad=True)
    loss = linear_cross_entropy(
        hidden_states, torch.randn(10, 4), batch.labels, token_weight=batch.token_weight, denominator=batch.denominator
    )
    loss.backward()
    return loss.detach(), hidden_states.grad


def test_an_empty_draw_costs_nothing_or_falls_back(rows):
    clean, response, _ = rows
    rates = torch.full((64, 40), 0.01)
    nothing, plain = response & False, response & (torch.rand(64, 40) < 0.3)
    batch = gift_batch_of_draw(clean, nothing, rates, mask_token_id=MASK)
    assert batch.denominator == 1 and torch.equal(batch.input_ids, clean) and (batch.labels == -100).all()
    loss, gradient = loss_of(batch)
    assert loss == 0 and not gradient.any()
    batch = gift_batch_of_draw(clean, nothing, rates, mask_token_id=MASK, fallback=plain)
    assert torch.equal(batch.labels != -100, plain) and batch.denominator == plain.sum()
    assert (batch.token_weight[plain] == 100).all()
    one = nothing.clone()
    one[3, 20] = True
    batch = gift_batch_of_draw(clean, one, rates, mask_token_id=MASK, fallback=plain)
    assert torch.equal(batch.labels != -100, one) and batch.denominator == 1


def test_gift_hands_its_options_on(rows):
    clean, response, ids = rows
    plain = response & (torch.rand(64, 40) < 0.3)

    def certain(input_ids, _labels):
        return torch.zeros(input_ids.shape)

    names = {"mask_token_id": MASK, "seed": 5, "example_id": ids}
    batch = gift_batch(clean, response, torch.full((64,), 0.5), certain, fallback=plain, **names)
    assert torch.equal(batch.labels != -100, plain)
    batch = gift_batch(clean, response, torch.full((64,), 0.5), certain, unsafe_division=True, **names)
    assert batch.denominator.isnan()


def test_one_entropy_of_zero_is_harmless_unless_the_published_division_is_asked_for(rows):
    clean, response, ids = rows
    entropy = torch.ones(64, 40)
    entropy[5, 0] = 0  # in the prompt
    names = {"mask_token_id": MASK, "seed": 5, "example_id": ids}
    for unsafe_division in (False, True):
        batch = gift_batch(
            clean, response, torch.full((64,), 0.5), lambda *_: entropy, unsafe_division=unsafe_division, **names
        )
        loss, gradient = loss_of(batch)
        assert loss.isnan() == unsafe_division
        assert gradient.isfinite().all() != unsafe_division
        assert batch.token_weight.isfinite().all()


def test_a_rate_of_zero_spoils_only_the_published_division(rows):
    clean, response, _ = rows
    rates = torch.full((64, 40), 0.5)
    rates[5, 0] = 0
    for unsafe_division in (False, True):
        batch = gift_batch_of_draw(clean, response, rates, mask_token_id=MASK, unsafe_division=unsafe_division)
        assert batch.denominator.isnan() == unsafe_division


def test_only_the_tokens_of_the_response_that_are_no_padding_are_masked():
    """Padding is trained by default, but not by GIFT, which would learn little else: the model is sure of it."""
    rows = clean_rows("gift", times=torch.full((NUM_ROWS,), 0.999))
    is_pad = rows.clean_ids == PAD
    assert (rows.maskable & is_pad).any()
    asked = []
    prepared = gift.build(
        clean_rows("gift", times=rows.draws.u, entropy=lambda *ids: asked.append(ids) or entropy_by_position(*ids))
    )
    response = rows.maskable & ~is_pad
    rates = gift_rates(entropy_by_position(rows.clean_ids, rows.clean_ids), response, rows.draws.timestep)
    _, is_masked = reference.corrupt_tokens(
        rows.clean_ids, rates, mask_token_id=MASK, seed=rows.seed, maskable=response, row_ids=rows.example_id
    )
    assert torch.equal(prepared.batch.labels != -100, is_masked) and is_masked.sum() > 0.9 * response.sum()
    assert torch.equal(asked[0][0] == MASK, response) and torch.equal(asked[0][1] != -100, response)
    assert torch.equal(prepared.maskable, is_masked) and prepared.batch.denominator == is_masked.sum()


def test_padding_is_what_lies_beyond_a_row_whatever_its_token():
    """Where the end token pads too, each row's own end is trained; the published rule goes by the token."""
    rows = clean_rows("gift", times=torch.full((NUM_ROWS,), 0.999))
    last = torch.tensor(rows.lengths) - 1
    ends = rows.clean_ids.scatter(1, last[:, None], PAD)
    names = {"clean_ids": ends, "entropy": lambda ids, _: torch.ones(ids.shape)}
    labels = gift.build(replace(rows, **names)).batch.labels
    of_ends = labels.gather(1, last[:, None])
    assert (of_ends == PAD).sum() > 0.9 * NUM_ROWS
    assert (labels == PAD).sum() == (of_ends == PAD).sum()  # nothing beyond
    quirks = replace(rows.options, reference_quirks=True)
    assert not (gift.build(replace(rows, **names, options=quirks)).batch.labels == PAD).any()


def test_micro_batches_of_a_step_share_its_mean_over_all_processes():
    whole = clean_rows("gift")
    asked = []

    def part(rows: slice):
        draws = Draws(whole.draws.u[rows], whole.draws.timestep[rows])
        return replace(
            whole, clean_ids=whole.clean_ids[rows], maskable=whole.maskable[rows], example_id=whole.example_id[rows],
            lengths=whole.lengths[rows], draws=draws,
            entropy=lambda ids, _: asked.append(rows) or torch.linspace(0.1, 2, NUM_ROWS)[rows, None].expand(ids.shape),
        )  # fmt: skip

    mine, theirs = [part(slice(0, 5)), part(slice(5, 11))], [part(slice(11, 12)), part(slice(12, None))]
    (all_rows,) = gift.whole_step([part(slice(None))], lambda sums: sums)
    truth = gift.build(all_rows).batch.labels
    sums = []
    for micro_batches in (mine, theirs):
        gift.whole_step(micro_batches, lambda of_process: sums.append(of_process) or of_process)
    asked.clear()
    complete = [
        one for micro_batches in (mine, theirs) for one in gift.whole_step(micro_batches, lambda _: sums[0] + sums[1])
    ]
    assert len(asked) == 4  # once each: what is built from does not ask again
    assert torch.equal(torch.cat([gift.build(one).batch.labels for one in complete]), truth) and len(asked) == 4
    alone = torch.cat([gift.build(one).batch.labels for one in (*mine, *theirs)])
    assert not torch.equal(alone, truth)


def test_the_published_fallback_is_a_mask_of_its_own_at_rate_t():
    """Its draw is not that of GIFT, which was empty: at small t it would be empty just there, too."""

    def build(**options):
        return gift.build(clean_rows("gift", entropy=lambda ids, _: torch.zeros(ids.shape), **options)).batch

    rows, batch = clean_rows("gift"), build(gift_fallback="collator")
    assert not (build().labels != -100).any()  # certain of all, GIFT draws nothing
    is_trained = batch.labels != -100
    assert is_trained[rows.clean_ids == PAD].any()  # padding, too
    names = {"mask_token_id": MASK, "maskable": rows.maskable, "row_ids": rows.example_id}
    own, of_the_step = (
        reference.corrupt_tokens(rows.clean_ids, rows.draws.timestep, seed=seed, **names)[1]
        for seed in (step_seed(rows.seed, 0), rows.seed)
    )
    assert torch.equal(is_trained, own) and not torch.equal(is_trained, of_the_step)


def test_the_published_division_is_an_option():
    rows = {"entropy": lambda ids, _: torch.zeros(ids.shape)}
    assert gift.build(clean_rows("gift", **rows)).batch.denominator == 1
    assert gift.build(clean_rows("gift", gift_unsafe_div=True, **rows)).batch.denominator.isnan()
