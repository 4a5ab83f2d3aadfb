"""The first visit of the logits: statistics, and gradients of each row's nll, however it is tiled."""

from __future__ import annotations

import pytest
import torch

from lift_kernels import reference
from lift_kernels.fallback.first_pass import gather_gradients, gather_stats
from lift_kernels.fallback.matmul import HeadRows
from lift_kernels.fallback.tiles import Tiling
from lift_kernels.linear_head import LinearHead
from lift_kernels.testing import Head

OPTIONS = {"logit_scale": 1.5, "logit_softcap": 2.5, "exclude_index": 3}


def inputs() -> tuple[Head, LinearHead]:
    head = Head.random(7, 8, 80, torch.float64, ignored=0)
    head.targets[head.targets == 3] = 40
    return head, LinearHead(head.weight, head.bias, *OPTIONS.values())


def test_statistics_are_those_of_the_definition_in_tiles_of_rows_and_columns():
    head, linear = inputs()
    ours = gather_stats(
        head.hidden_states, linear, head.targets, Tiling(7, 80, 3, 32, False), all_stats=True, runner_up=True
    )
    true = reference.linear_token_stats(head.hidden_states, head.weight, head.targets, bias=head.bias, **OPTIONS)
    for mine, expected in zip(ours[:5], true[:5], strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-12, atol=1e-12)
    logits = reference.linear_logits(head.hidden_states, head.weight, head.bias, **OPTIONS)
    torch.testing.assert_close(ours.runner_up_log_prob, logits.log_softmax(-1).topk(2).values[:, 1])


@pytest.mark.parametrize("columns", [32, 80])
def test_what_it_keeps_forms_the_gradients(columns):
    head, linear = inputs()
    tiling = Tiling(7, 80, 7, columns, True)
    found = gather_gradients(
        head.hidden_states, linear, head.targets, tiling, HeadRows(head.weight, columns), all_stats=False,
        grad_hidden=True, keep_exponentials=True,
    )  # fmt: skip
    hidden_states, weight = head.hidden_states.requires_grad_(), head.weight.detach().requires_grad_()
    losses = reference.linear_cross_entropy(
        hidden_states, weight, head.targets, bias=head.bias, reduction="none", **OPTIONS
    )
    grad_hidden, grad_weight = torch.autograd.grad(losses.sum(), (hidden_states, weight))
    torch.testing.assert_close(found.stats.log_prob, -losses.detach(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found.grad_hidden, grad_hidden, rtol=1e-10, atol=1e-12)
    at_logits = torch.cat(
        [found.exponentials[part] * found.factors[i] for i, part in enumerate(tiling.column_blocks())]
    )
    assert not at_logits.gather(0, head.targets[None]).any()
    at_logits.scatter_(0, head.targets[None], found.at_target[None])
    torch.testing.assert_close(at_logits @ head.hidden_states.detach(), grad_weight, rtol=1e-10, atol=1e-12)
