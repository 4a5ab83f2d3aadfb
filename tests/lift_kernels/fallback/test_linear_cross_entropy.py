"""The PyTorch backend of a linear head: tokens that are all but certain, and every way to their gradients."""

from __future__ import annotations

import pytest
import torch

from lift_kernels import reference
from lift_kernels.fallback import linear_cross_entropy as backend
from lift_kernels.fallback.matmul import operand_dtype
from lift_kernels.linear_head import LinearHead, NeedsGrad, StatsGrad
from lift_kernels.testing import Head
from tests.lift_kernels.easy_tokens import TARGET, EasyTokens, relative

SMALL = 60_000  # many tiles, of rows and of columns
ALL = NeedsGrad(True, True, True)


@pytest.mark.parametrize("workspace_bytes", [SMALL, None])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_tokens_all_but_certain_keep_their_relative_precision_and_their_order(dtype, workspace_bytes):
    easy = EasyTokens(dtype)
    assert 5e-4 < easy.nll.max() < 2e-3 and easy.nll.min() < 1e-12
    # A gradient is rounded once, and where bfloat16 is multiplied as such, so are the exponentials and their product.
    roundings = 3 if operand_dtype(easy.hidden_states) == torch.bfloat16 else 1
    rounding = 2e-5 if dtype == torch.float32 else roundings * 2.0**-8
    size, ones = {"workspace_bytes": workspace_bytes}, torch.ones(1000)
    stats = backend.token_stats(easy.hidden_states, easy.head, easy.targets, all_stats=True, **size)
    again = backend.gradients_from_stats(
        easy.hidden_states, easy.head, easy.targets, ones, stats.lse, stats.log_prob, ALL, **size
    )
    assert relative(again.hidden_states, easy.grad_hidden) < rounding
    assert relative(again.weight[TARGET], easy.grad_target_row) < rounding
    for needs_grad in (NeedsGrad(True, False, False), ALL):
        stats, _, gradients = backend.loss_gradients(
            easy.hidden_states, easy.head, easy.targets, ones, needs_grad, all_stats=True, **size
        )
        assert relative(-stats.log_prob, easy.nll) < 2e-5
        assert stats.log_prob.argsort(descending=True).equal(easy.easiest_first)
        assert stats.max_log_prob.equal(stats.log_prob)
        assert relative(gradients.hidden_states, easy.grad_hidden) < rounding
        if needs_grad.weight:
            assert relative(gradients.weight[TARGET], easy.grad_target_row) < rounding


def test_the_reference_is_exact_near_certainty():
    easy = EasyTokens(torch.float64)
    hidden_states = easy.hidden_states.requires_grad_()
    nll = reference.linear_cross_entropy(hidden_states, easy.head.weight, easy.targets, reduction="none")
    (grad_hidden,) = torch.autograd.grad(nll.sum(), hidden_states)
    assert relative(nll, easy.nll) < 1e-13 and relative(grad_hidden, easy.grad_hidden) < 1e-6


@pytest.mark.parametrize("workspace_bytes", [150_000, None])
@pytest.mark.parametrize("options", [{}, {"scale": 1.5, "softcap": 2.5, "exclude_index": 3}], ids=["plain", "capped"])
@pytest.mark.parametrize(("rows", "size"), [(37, 507), (1, 5), (40, 1100)])
def test_every_way_gives_the_gradients_of_the_definition(rows, size, options, workspace_bytes):
    head, linear, targets = float64_head(rows, size, options)
    log_prob, lse, entropy = definition(head, linear, targets)
    weights = torch.rand(rows, dtype=torch.float64)
    leaves = (head.hidden_states, head.weight, head.bias)
    truth = torch.autograd.grad(-(weights * log_prob).sum(), leaves)
    names = {"workspace_bytes": workspace_bytes}
    hidden_states, linear = detached(head, linear)
    for token_weight in (weights, lambda log_prob: weights):
        for needs_grad in (ALL, *(NeedsGrad(*only) for only in torch.eye(3, dtype=torch.bool).tolist())):
            stats, used, gradients = backend.loss_gradients(
                hidden_states, linear, targets, token_weight, needs_grad, all_stats=True, **names
            )
            assert used.equal(weights)
            for ours, expected in zip(stats[:3], (log_prob, lse, entropy), strict=True):
                torch.testing.assert_close(ours, expected)
            for ours, expected, needed in zip(gradients[:3], truth, needs_grad, strict=True):
                assert (ours is not None) == needed
                if needed:
                    torch.testing.assert_close(ours, expected)
    excluded = options.get("exclude_index")
    saved = lse.detach(), log_prob.detach()
    again = backend.gradients_from_stats(hidden_states, linear, targets, weights, *saved, ALL, **names)
    for ours, expected in zip(again[:3], truth, strict=True):
        torch.testing.assert_close(ours, expected)
    if excluded is not None:
        assert not again.weight[excluded].any() and not again.bias[excluded]


@pytest.mark.parametrize("targets_given", [True, False])
@pytest.mark.parametrize("workspace_bytes", [150_000, None])
@pytest.mark.parametrize("options", [{}, {"scale": 1.5, "softcap": 2.5, "exclude_index": 3}], ids=["plain", "capped"])
def test_gradients_of_statistics_pass_gradcheck(options, workspace_bytes, targets_given):
    head, linear, targets = float64_head(40, 300, options)
    given = targets if targets_given else None

    class Stats(torch.autograd.Function):
        @staticmethod
        def forward(ctx, hidden_states, weight, bias):
            ctx.head = linear._replace(weight=weight, bias=bias)
            ctx.stats = backend.token_stats(
                hidden_states, ctx.head, given, workspace_bytes=workspace_bytes, all_stats=True
            )
            ctx.save_for_backward(hidden_states)
            return ctx.stats[:3] if targets_given else ctx.stats[1:3]

        @staticmethod
        def backward(ctx, *grads):
            grad = StatsGrad(*grads) if targets_given else StatsGrad(None, *grads)
            return backend.stats_gradients(
                *ctx.saved_tensors, ctx.head, given, ctx.stats, grad, ALL, workspace_bytes=workspace_bytes
            )[:3]

    assert torch.autograd.gradcheck(Stats.apply, (head.hidden_states, head.weight, head.bias), fast_mode=True)


@pytest.mark.parametrize("workspace_bytes", [150_000, None])
def test_the_runner_up_is_the_second_most_likely_token(workspace_bytes):
    head, linear, targets = float64_head(40, 507, {"exclude_index": 3})
    logits = reference.linear_logits(head.hidden_states, head.weight, head.bias, exclude_index=3)
    truth = logits.log_softmax(-1).topk(2).values[:, 1].detach()
    targets[:10], targets[10:20] = logits[:10].argmax(1), logits[10:20].topk(2).indices[:, 1]
    hidden_states, linear = detached(head, linear)
    for given in (targets, None):
        stats = backend.token_stats(
            hidden_states, linear, given,
            workspace_bytes=workspace_bytes, all_stats=False, runner_up=True,
        )  # fmt: skip
        torch.testing.assert_close(stats.runner_up_log_prob, truth)
    only = backend.token_stats(
        torch.ones(2, 4), LinearHead(torch.ones(1, 4)), torch.zeros(2, dtype=torch.int64), workspace_bytes=None,
        all_stats=True, runner_up=True,
    )  # fmt: skip
    assert only.runner_up_log_prob.equal(torch.full((2,), -torch.inf)) and not only.log_prob.any()
    assert not only.entropy.any() and only.argmax.equal(torch.zeros(2, dtype=torch.int64))


def test_without_rows_gradients_are_zero():
    head, nothing = LinearHead(torch.ones(40, 4), torch.ones(40)), torch.empty(0, dtype=torch.int64)
    stats, _, gradients = backend.loss_gradients(
        torch.empty(0, 4), head, nothing, torch.empty(0), ALL, workspace_bytes=None, all_stats=True
    )
    assert all(len(values) == 0 for values in stats[:5]) and gradients.hidden_states.shape == (0, 4)
    assert not gradients.weight.any() and not gradients.bias.any()


def float64_head(rows, size, options):
    head = Head.random(rows, 8, size, torch.float64, ignored=0, seed=1).trainable("hidden_states", "weight", "bias")
    targets = head.targets.where(head.targets != 3, 4)
    return head, LinearHead(head.weight, head.bias, **options), targets


def detached(head, linear):
    return head.hidden_states.detach(), linear._replace(weight=head.weight.detach(), bias=head.bias.detach())


def definition(head, linear, targets):
    """(log_prob, lse, entropy), which autograd differentiates."""
    logits = reference.linear_logits(
        head.hidden_states, head.weight, head.bias, linear.scale, linear.softcap, linear.exclude_index
    )
    log_probs = logits.log_softmax(-1)
    finite = log_probs.where(log_probs.isfinite(), 0)  # so that autograd sees no 0 * inf
    entropy = -(log_probs.exp() * finite).sum(-1)
    return log_probs.gather(1, targets[:, None])[:, 0], logits.logsumexp(-1), entropy
