"""Proposals made in one pass: those that are made of logits."""

from __future__ import annotations

import pytest
import torch

from lift.sampling import SamplingConfig
from lift.sampling.heads import Head, PlainHead
from lift.sampling.noise import CounterNoise
from lift.sampling.one_pass import propose_in_one_pass
from lift.sampling.proposal import propose

N, D, V = 14, 6, 90
ROW, COLUMN = torch.arange(N) % 3, torch.arange(N)
SETTINGS = {
    "greedy": {},
    "margin": {"remasking": "margin"},
    "entropy": {"remasking": "entropy"},
    "random": {"remasking": "random"},
    "left to right": {"remasking": "left_to_right", "temperature": 0.7},
    "warm": {"temperature": 0.7},
    "warm entropy": {"temperature": 1.4, "remasking": "entropy"},
    "top k": {"temperature": 0.7, "top_k": 5},
    "top p": {"temperature": 0.7, "top_p": 0.8, "filter_order": "top_p_first"},
    "both": {"temperature": 0.7, "top_k": 12, "top_p": 0.8},
    "score of the drawn": {"temperature": 1.0, "score_temperature": True, "top_p": 1.0},
    "zeros": {"shift": "zeros"},
}
NEED_LOGITS = {
    "repetition": {"repetition_penalty": 1.2},
    "last": {"suppress_score_ids": (4,)},
    "tempered score": {"temperature": 0.7, "score_temperature": True},
    "filtered score": {"temperature": 1.0, "score_temperature": True, "top_k": 4},
    "margin of the drawn": {"temperature": 0.7, "remasking": "margin"},
    "top p first": {"temperature": 0.7, "top_p": 0.9, "top_k": 4, "filter_order": "top_p_first"},
}


class OtherNoise:
    """Draws of another source."""


def head(bias=None, scale=1.0, softcap=None, dtype=torch.float32):
    weight = torch.randn(V, D).to(dtype)

    def logits(rows):
        z = scale * (rows.double() @ weight.double().t() + (0 if bias is None else bias.double()))
        return z if softcap is None else softcap * (z / softcap).tanh()

    return Head(logits, V, softcap is None, PlainHead(weight, None if bias is None else bias.to(dtype), scale, softcap))


def arguments(rows, made, options, excluded=(2,), noise=None):
    noise = CounterNoise(3, torch.tensor([5, 6, 2**40]), torch.tensor([0, 2, 0])) if noise is None else noise
    if isinstance(noise, CounterNoise):
        noise.begin(1, 2, 3)
    is_zero = COLUMN == 4
    return rows, made, ROW, COLUMN, is_zero, SamplingConfig(**options), noise, torch.tensor(excluded, dtype=torch.int64)


@pytest.mark.parametrize("excluded", [(), (2,), (2, 30, 31)])
@pytest.mark.parametrize("options", SETTINGS.values(), ids=SETTINGS)
def test_tokens_and_scores_are_those_of_logits(options, excluded):
    rows, made = torch.randn(N, D) * 2, head()
    assert propose_in_one_pass(*arguments(rows, made, options, excluded)) is not None
    held = torch.zeros(3, 1, dtype=torch.int64)
    found = propose(*arguments(rows, made, options, excluded), held)
    expected = propose(*arguments(rows, made._replace(plain=None), options, excluded), held)
    assert torch.equal(found.token, expected.token)
    torch.testing.assert_close(found.score, expected.score.to(found.score.dtype), rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize(
    "made",
    [head(torch.randn(V)), head(scale=0.3), head(softcap=3.0), head(dtype=torch.bfloat16), head(dtype=torch.float64)],
    ids=["bias", "scale", "softcap", "bfloat16", "float64"],
)
def test_every_plain_head_is_read(made):
    rows = (torch.randn(N, D) * 2).to(made.plain.weight.dtype)
    for options in ({}, {"temperature": 0.7}):
        found = propose_in_one_pass(*arguments(rows, made, options))
        expected = propose(*arguments(rows, made._replace(plain=None), options), torch.zeros(3, 1, dtype=torch.int64))
        assert torch.equal(found.token, expected.token)
        torch.testing.assert_close(found.score.double(), expected.score.double(), rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("options", NEED_LOGITS.values(), ids=NEED_LOGITS)
def test_settings_that_look_at_logits_get_them(options):
    assert propose_in_one_pass(*arguments(torch.randn(N, D), head(), options)) is None


def test_what_no_op_takes_is_left_to_logits():
    rows = torch.randn(N, D)
    for made, options, others in (
        (head()._replace(plain=None), {}, {}),
        (head(softcap=3.0), {}, {"excluded": (2, 3)}),
        (head(torch.randn(V)), {"shift": "zeros"}, {}),
        (head(dtype=torch.bfloat16), {}, {}),
        (head(), {"temperature": 0.7}, {"noise": OtherNoise()}),
    ):
        assert propose_in_one_pass(*arguments(rows, made, options, **others)) is None


def test_no_position_is_proposed_nothing():
    nothing = torch.zeros(0, dtype=torch.int64)
    noise = CounterNoise(3, torch.tensor([5]), torch.tensor([0]))
    found = propose_in_one_pass(
        torch.zeros(0, D), head(), nothing, nothing, nothing.bool(), SamplingConfig(), noise, nothing
    )
    assert found.token.shape == found.score.shape == (0,)
