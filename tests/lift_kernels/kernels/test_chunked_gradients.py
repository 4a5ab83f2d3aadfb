from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from lift_kernels.kernels.chunked_gradients import chunked_gradients
from lift_kernels.kernels.plan import Plan
from lift_kernels.linear_head import NeedsGrad
from lift_kernels.testing import Head, assert_gradient_close
from tests.lift_kernels.kernels.head_truth import gradients, linear_head

WHOLE = Plan(num_rows=9, width=17, num_columns=300, rows=9, columns=128, buffer_size=9 * 128)
CHUNKS = replace(WHOLE, rows=4, buffer_size=4 * 128)
PLANS = {"one chunk": WHOLE, "chunks": CHUNKS, "hidden states in parts": replace(WHOLE, rows=8, buffer_size=8 * 128)}


def run(head, linear, plan, token_weight, needs_grad):
    return chunked_gradients(
        head.hidden_states, linear, head.targets, token_weight, NeedsGrad(*needs_grad), plan, 1 << 20, all_stats=False
    )


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_gradients_of_chunks_are_those_of_all_rows(plan):
    head = Head.random(9, 17, 300, torch.bfloat16, ignored=0)
    head.targets[:5] = 7  # in two chunks
    linear = linear_head(head, bias=True, scale=1.5, softcap=2.5)
    stats, weights, ours = run(head, linear, plan, head.token_weight, (True, True, True))
    truth, plain = (
        gradients(head, linear, head.token_weight),
        gradients(head, linear, head.token_weight, torch.bfloat16),
    )
    assert torch.equal(weights, head.token_weight) and ours.deferred is None
    torch.testing.assert_close(stats.log_prob.double(), truth[0], rtol=1e-6, atol=1e-5)
    for mine, true, baseline in zip(ours[:3], truth[1:], plain[1:], strict=True):
        assert mine.dtype == torch.bfloat16
        assert_gradient_close(ours=mine, truth=true, baseline=baseline)


@pytest.mark.parametrize("plan", [WHOLE, CHUNKS], ids=["one chunk", "chunks"])
def test_weights_that_come_of_all_log_probabilities_scale_the_rows_afterwards(plan):
    head = Head.random(9, 17, 300, ignored=0)
    linear = linear_head(head)
    seen = []

    def weigh(log_prob):
        seen.append(log_prob)
        return log_prob.exp() + 0.5

    _, weights, ours = run(head, linear, plan, weigh, (True, plan is WHOLE, False))
    assert len(seen) == 1 and seen[0].shape == (9,) and torch.equal(weights, seen[0].exp() + 0.5)
    truth = gradients(head, linear, weights)
    torch.testing.assert_close(ours.hidden_states.double(), truth[1], rtol=1e-4, atol=1e-6)
    assert (ours.weight is not None) == (plan is WHOLE) and ours.bias is None
