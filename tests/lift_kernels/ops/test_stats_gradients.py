"""Gradients of log-probabilities, log-sum-exps and entropies, the logits computed again."""

from __future__ import annotations

import pytest
import torch

from lift_kernels import linear_token_stats, reference
from lift_kernels.ops.linear_token_stats_op import token_stats
from lift_kernels.ops.stats_gradients import nll_gradients, stats_gradients
from lift_kernels.testing import DTYPES, Head, assert_gradient_close
from tests.lift_kernels.kernel_paths import KERNEL_PATHS
from tests.lift_kernels.ops.head_cases import OPTIONS

LEAVES = ("hidden_states", "weight", "bias")
USES = {"log_prob": (1, 0, 0), "lse": (0, 1, 0), "entropy": (0, 0, 1), "all": (0.7, -0.3, 1.1)}


def leaves_of(head):
    return head.hidden_states, head.weight, head.bias


@pytest.mark.parametrize("has_targets", [True, False])
@pytest.mark.parametrize("softcap", [None, 1.5])
@pytest.mark.parametrize("workspace_bytes", [100_000, None])
@pytest.mark.parametrize("exclude_index", [None, 3])
def test_gradcheck_in_float64(has_targets, softcap, workspace_bytes, exclude_index):
    head = Head.random(7, 5, 300, torch.float64)
    targets = head.targets if has_targets else None

    def stats(*leaves):
        found = linear_token_stats(
            *leaves[:2], targets, bias=leaves[2], logit_softcap=softcap, logit_scale=0.7, differentiable=True,
            workspace_bytes=workspace_bytes, exclude_index=exclude_index,
        )  # fmt: skip
        return found[:3] if has_targets else found[1:3]

    for wanted in ((0,), (1, 2), (0, 1, 2)):
        leaves = [leaf.detach().requires_grad_(i in wanted) for i, leaf in enumerate(leaves_of(head))]
        assert torch.autograd.gradcheck(stats, leaves, fast_mode=True)


# The interpreter is slow, so the Triton backend takes all statistics at once.
CASES = [
    *(("torch", way, dtype, name, use) for way in (None, 400_000) for dtype in DTYPES[:2] for name in OPTIONS for use in USES),
    ("torch", None, torch.float16, "softcap", "all"),
    *(("triton", way, dtype, "softcap", "all") for way in KERNEL_PATHS for dtype in DTYPES[:2]),
]  # fmt: skip


@pytest.mark.parametrize(("backend", "way", "dtype", "option", "use"), CASES, ids=str)
def test_gradients_match_float64_truth(backend, way, dtype, option, use, take_kernel_path):
    if backend == "triton":
        take_kernel_path(way)
    factors, options = USES[use], OPTIONS[option]
    shape = (13, 16, 300) if backend == "triton" else (37, 33, 507)
    heads = {"ours": Head.random(*shape, dtype), "truth": Head.random(*shape, dtype).double()}
    heads["baseline"] = heads["ours"]
    row, gradients = (
        torch.randn(3, shape[0], generator=torch.Generator().manual_seed(0)),
        {},
    )  # an upstream gradient of its own for each token
    for name, head in heads.items():
        head = head.trainable(*LEAVES)
        if name == "ours":
            stats = linear_token_stats(
                *leaves_of(head)[:2], head.targets, bias=head.bias, differentiable=True, backend=backend,
                workspace_bytes=way if backend == "torch" else None, **options,
            )  # fmt: skip
        else:
            stats = reference.linear_token_stats(*leaves_of(head)[:2], head.targets, bias=head.bias, **options)
        sum(f * (r.to(s.dtype) * s).sum() for f, r, s in zip(factors, row, stats[:3], strict=True) if f).backward()
        gradients[name] = head.grads(*LEAVES)
    for ours, truth, baseline in zip(*gradients.values(), strict=True):
        assert ours.dtype == dtype
        assert_gradient_close(ours=ours, truth=truth, baseline=baseline)


def test_what_a_loss_takes_no_notice_of_costs_no_product(monkeypatch):
    """Such as tokens without an advantage."""
    from lift_kernels.fallback import linear_cross_entropy as fallback

    sizes, real = [], fallback.stats_gradients
    monkeypatch.setattr(fallback, "stats_gradients", lambda *a, **k: sizes.append(a[0].shape[0]) or real(*a, **k))
    head = Head.random(24, 8, 60, ignored=0).trainable(*LEAVES)
    stats = linear_token_stats(head.hidden_states, head.weight, head.targets, bias=head.bias, differentiable=True)
    advantage = torch.zeros(24)
    advantage[[3, 7, 20]] = 1.5
    (stats.entropy * advantage).sum().backward()
    assert sizes == [3]
    assert head.hidden_states.grad.any(1).nonzero()[:, 0].tolist() == [3, 7, 20]


@pytest.mark.parametrize("needs_grad", [(True, True, True), (True, False, False), (False, False, True)], ids=str)
def test_nll_gradients_pass_opcheck(needs_grad):
    head = Head.random(12, 8, 40)
    log_prob, lse, *_ = stats_of(head, head.targets)
    torch.library.opcheck(
        nll_gradients,
        (
            torch.randn(12), *leaves_of(head), head.targets, lse, log_prob, -100, None, None, 1.0, None, *needs_grad,
            None, "torch",
        ),
    )  # fmt: skip


@pytest.mark.parametrize("needs_grad", [(True, True, True), (True, False, False), (False, False, True)], ids=str)
@pytest.mark.parametrize("has_targets", [True, False])
def test_stats_gradients_pass_opcheck(has_targets, needs_grad):
    head = Head.random(12, 8, 40)
    targets = head.targets if has_targets else None
    log_prob, lse, entropy, *_ = stats_of(head, targets)
    torch.library.opcheck(
        stats_gradients,
        (
            torch.randn(12) if has_targets else None, torch.randn(12), torch.randn(12), *leaves_of(head), targets,
            log_prob, lse, entropy, -100, None, None, 1.0, None, *needs_grad, None, "torch", "op",
        ),
    )  # fmt: skip


def stats_of(head, targets):
    return token_stats(*leaves_of(head), targets, None, -100, None, None, 1.0, None, True, False, False, None, "torch")
