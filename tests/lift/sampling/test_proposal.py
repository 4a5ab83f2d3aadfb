"""Tokens and scores, against their formulas in float64."""

from __future__ import annotations

import pytest
import torch

from lift.sampling import SamplingConfig, proposal
from lift.sampling.heads import Head
from lift.sampling.noise import CounterNoise
from lift.sampling.proposal import filtered, penalized, propose

N, V = 12, 19
ROW, COLUMN = torch.arange(N) % 3, torch.arange(N)


def proposed(logits, excluded=(), is_zero=None, held_ids=None, **options):
    noise = CounterNoise(0, torch.arange(3), torch.zeros(3, dtype=torch.int64))
    is_zero = torch.zeros(len(logits), dtype=torch.bool) if is_zero is None else is_zero
    return propose(
        logits, Head(lambda rows: rows, V, True), ROW, COLUMN, is_zero, SamplingConfig(**options), noise,
        torch.tensor(excluded, dtype=torch.int64), torch.zeros(3, 1, dtype=torch.int64) if held_ids is None else held_ids,
    )  # fmt: skip


@pytest.mark.parametrize("excluded", [(), (3, 7)])
def test_scores_are_their_formulas(excluded):
    logits = torch.randn(N, V) * 4
    p = logits.double().index_fill(1, torch.tensor(excluded, dtype=torch.int64), -torch.inf).softmax(-1)
    best = p.argsort(-1, descending=True)
    found = proposed(logits, excluded)
    assert torch.equal(found.token, best[:, 0])
    expected = {
        "low_confidence": p.amax(-1).log(),
        "margin": p.gather(1, best[:, :1])[:, 0] - p.gather(1, best[:, 1:2])[:, 0],
        "entropy": (p * p.clamp(min=1e-300).log()).sum(-1),
        "left_to_right": -COLUMN.double(),
    }
    for remasking, score in expected.items():
        found = proposed(logits, excluded, remasking=remasking).score.double()
        torch.testing.assert_close(found, score, rtol=1e-5, atol=1e-6)


def test_scores_near_one_stay_apart():
    logits = torch.zeros(N, V)
    logits[:, 4] = 20 + torch.arange(N) * 0.5
    assert (proposed(logits).score.diff() > 0).all()


def test_a_token_drawn_at_a_temperature_is_scored_by_the_models_own_probability_or_by_that_it_was_drawn_with():
    logits = torch.randn(N, V) * 2
    own = proposed(logits, temperature=0.5, top_k=4)
    drawn_with = proposed(logits, temperature=0.5, top_k=4, score_temperature=True)
    assert torch.equal(own.token, drawn_with.token)
    p = logits.double().log_softmax(-1)
    torch.testing.assert_close(own.score.double(), p.gather(1, own.token[:, None])[:, 0], rtol=1e-5, atol=1e-6)
    cut = (logits / 0.5).double()
    cut[cut < cut.topk(4).values[:, -1:]] = -torch.inf
    expected = cut.log_softmax(-1).gather(1, own.token[:, None])[:, 0]
    torch.testing.assert_close(drawn_with.score.double(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("order", ["top_k_first", "top_p_first"])
def test_filters_keep_what_their_definitions_say(order):
    logits = torch.randn(N, V) * 2
    config = SamplingConfig(top_k=6, top_p=0.8, filter_order=order)
    for row, kept in zip(logits.double().tolist(), filtered(logits, config).isfinite().tolist(), strict=True):
        left = set(range(V))
        for name in ("k", "p") if order == "top_k_first" else ("p", "k"):
            ranked = sorted(left, key=lambda token, row=row: -row[token])
            weight = torch.tensor([row[token] for token in ranked], dtype=torch.float64).softmax(0)
            number = 6 if name == "k" else int((weight.cumsum(0) - weight <= 0.8).sum())
            left = set(ranked[:number])
        assert {token for token in range(V) if kept[token]} == left


def test_ids_whose_score_is_nothing_are_proposed_all_the_same():
    logits = torch.randn(N, V)
    logits[::2, 5] = 9.0
    found = proposed(logits, suppress_score_ids=(5,))
    assert (found.token[::2] == 5).all() and found.score[::2].isneginf().all()
    rest = logits.double().index_fill(1, torch.tensor([5]), -torch.inf).log_softmax(-1).amax(-1)
    torch.testing.assert_close(found.score[1::2].double(), rest[1::2], rtol=1e-5, atol=1e-6)


def test_logits_of_zero_are_those_that_no_position_gives():
    is_zero = torch.arange(N) == 2
    found = proposed(torch.randn(N, V), (0,), is_zero, shift="zeros")
    assert found.token[2] == 1
    torch.testing.assert_close(float(found.score[2]), -float(torch.tensor(V - 1.0).log()))


def test_a_few_positions_at_a_time_are_the_same_as_all(monkeypatch):
    logits, options = torch.randn(N, V), {"temperature": 1.1, "top_p": 0.9}
    whole = proposed(logits, **options)
    monkeypatch.setattr(proposal, "_CHUNK_BYTES", 4 * V * 5)
    parts = proposed(logits, **options)
    assert torch.equal(whole.token, parts.token) and torch.equal(whole.score, parts.score)


def test_a_penalty_divides_what_is_positive_and_multiplies_what_is_not():
    logits = torch.tensor([[2.0, -2.0, 2.0, -2.0]])
    assert penalized(logits, torch.tensor([[0, 1, 1]]), 2.0).tolist() == [[1.0, -4.0, 2.0, -2.0]]
    held = torch.tensor([[4], [5], [4]])
    found = proposed(torch.zeros(N, V).index_fill(1, torch.tensor([4]), 3.0).index_fill(1, torch.tensor([5]), 2.5),
                     held_ids=held, repetition_penalty=2.0)  # fmt: skip
    assert torch.equal(found.token, torch.tensor([5, 4, 5])[ROW])
