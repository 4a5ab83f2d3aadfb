"""Gradients of statistics on every path, against autograd of the definitions in float64."""

from __future__ import annotations

import math

import pytest
import torch

from lift_kernels import reference
from lift_kernels.kernels import linear_cross_entropy as kernels
from lift_kernels.linear_head import LinearHead, NeedsGrad, RowStats, StatsGrad, gradient_dtype
from lift_kernels.testing import Head, assert_gradient_close
from tests.lift_kernels.kernel_paths import KERNEL_PATHS
from tests.lift_kernels.kernels.head_truth import linear_head

pytestmark = pytest.mark.usefixtures("poison_new_tensors")

LEAVES = ("hidden_states", "weight", "bias")
# Rows in chunks of 8 leave 3; 507 columns are 256 and 251.
SHAPE = (19, 33, 507)
CASES = {
    "log-probability": (("log_prob",), {}),
    "log-sum-exp without targets": (("lse",), {"bias": True}),
    "entropy without targets": (("entropy",), {"softcap": 2.5}),
    "all": (("log_prob", "lse", "entropy"), {"bias": True, "scale": 1.5, "softcap": 30.0}),
    "all but an entry": (("log_prob", "lse", "entropy"), {"bias": True, "exclude": 300}),
}


@pytest.fixture(params=KERNEL_PATHS)
def path(request, take_kernel_path):
    take_kernel_path(request.param)
    return request.param


def by_autograd(head: Head, linear: LinearHead, grad: StatsGrad) -> tuple[RowStats, list[torch.Tensor]]:
    head = head.trainable(*LEAVES)
    bias = None if linear.bias is None else head.bias
    logits = reference.linear_logits(head.hidden_states, head.weight, bias, linear.scale, linear.softcap)
    if linear.exclude_index is not None:
        logits = logits.index_fill(1, torch.tensor(linear.exclude_index, device=logits.device), -torch.inf)
    log_probs = logits.log_softmax(-1)
    log_prob = log_probs.gather(-1, head.targets[:, None])[:, 0]
    entropy = -(log_probs.exp() * log_probs.clamp(min=-1e4)).sum(-1)
    stats = RowStats(log_prob, logits.logsumexp(-1), entropy, *log_probs.max(-1))
    terms = [(g.to(logits.dtype) * s).sum() for g, s in zip(grad, stats[:3], strict=True) if g is not None]
    sum(terms).backward()
    return RowStats(*(s.detach().float() for s in stats[:5])), [getattr(head, name).grad for name in LEAVES]


@pytest.mark.parametrize(
    ("dtype", "case"),
    [(torch.float32, case) for case in CASES] + [(torch.bfloat16, "all but an entry"), (torch.float16, "all")],
    ids=str,
)
def test_gradients_match_float64_truth(dtype, case, path, kernel_device):
    names, options = CASES[case]
    head = Head.random(*SHAPE, dtype, ignored=0).to(kernel_device)
    head.targets[head.targets == 300] = 301
    options = dict(options)
    linear = linear_head(head, **{k: v for k, v in options.items() if k != "exclude"})
    linear = linear._replace(exclude_index=options.get("exclude"))
    grad = StatsGrad(*(torch.randn(SHAPE[0], device=kernel_device) if n in names else None for n in StatsGrad._fields))
    stats, true = by_autograd(head.double(), linear, grad)
    _, plain = by_autograd(head, linear, grad)
    targets = head.targets if "log_prob" in names else None
    needs_grad = NeedsGrad(True, True, linear.bias is not None)
    found = kernels.stats_gradients(
        head.hidden_states, linear, targets, stats, grad, needs_grad, workspace_bytes=None
    )  # fmt: skip
    for gradient, truth, baseline, needed in zip(found, true, plain, needs_grad, strict=False):
        if not needed:
            assert gradient is None
        elif dtype == torch.float32:
            torch.testing.assert_close(gradient.double(), truth, rtol=0, atol=3e-6 * truth.abs().max().item())
        else:
            assert gradient.dtype == gradient_dtype(dtype)
            assert_gradient_close(ours=gradient, truth=truth, baseline=baseline)
    if linear.exclude_index is not None:
        assert not found.weight[300].any() and not found.bias[300]


def test_entries_that_a_bias_hides_leave_an_entropy_s_gradient_finite(path, kernel_device):
    head = Head.random(9, 8, 300, ignored=0).to(kernel_device)
    head.bias[290:], head.targets[0] = -torch.inf, 291
    linear = linear_head(head, bias=True)
    grad = StatsGrad(torch.zeros(9, device=kernel_device), None, torch.full((9,), 1e30, device=kernel_device))
    stats, true = by_autograd(head.double(), linear, grad._replace(log_prob=None))
    stats = stats._replace(log_prob=stats.log_prob.index_fill(0, torch.tensor(0, device=kernel_device), -torch.inf))
    found = kernels.stats_gradients(
        head.hidden_states, linear, head.targets, stats, grad, NeedsGrad(True, True, True), workspace_bytes=None
    )
    for gradient, truth in zip(found, true, strict=False):
        torch.testing.assert_close(gradient.double(), truth, rtol=0, atol=3e-6 * truth.abs().max().item())


def test_only_the_gradients_asked_for_are_computed(path, kernel_device):
    head = Head.random(9, 8, 64, ignored=0).to(kernel_device)
    linear = linear_head(head, bias=True)
    grad = StatsGrad(entropy=torch.randn(9, device=kernel_device))
    stats, true = by_autograd(head.double(), linear, grad)
    for needs_grad in (NeedsGrad(True, False, False), NeedsGrad(False, True, False), NeedsGrad(False, False, True)):
        found = kernels.stats_gradients(
            head.hidden_states, linear, head.targets, stats, grad, needs_grad, workspace_bytes=None
        )
        for gradient, truth, needed in zip(found, true, needs_grad, strict=False):
            assert (gradient is not None) == needed
            if gradient is not None:
                torch.testing.assert_close(gradient.double(), truth, rtol=0, atol=3e-6 * truth.abs().max().item())


@pytest.mark.parametrize("left", [1e-3, 1e-7, 1e-12])
def test_sure_rows_keep_their_digits(left, path, kernel_device):
    """Of log-probability and entropy, where a share `left` is the others'; the gradient for the target's logit."""
    logit = math.log(40 / left)
    hidden_states = torch.zeros(3, 8, device=kernel_device)
    hidden_states[:, 0] = logit
    weight = torch.zeros(41, 8, device=kernel_device)
    weight[17, 0] = 1.0
    targets = torch.full((3,), 17, device=kernel_device)
    linear = LinearHead(weight)
    stats = kernels.token_stats(hidden_states, linear, targets, workspace_bytes=None, all_stats=True)
    others = 40 * math.exp(-hidden_states[0, 0].item())
    p, z = 1 / (1 + others), hidden_states[0, 0].item()
    entropy = math.log1p(others) + others * p * z
    true = {"log_prob": others * p, "entropy": -p * (entropy - math.log1p(others))}
    for name, expected in true.items():
        grad = StatsGrad(**{name: torch.ones(3, device=kernel_device)})
        found = kernels.stats_gradients(
            hidden_states, linear, targets, stats, grad, NeedsGrad(True, False, False), workspace_bytes=None
        )
        assert found.hidden_states[:, 0].tolist() == pytest.approx([expected] * 3, rel=2e-5)


def test_no_rows_give_zeros(path, kernel_device):
    head = Head.random(0, 8, 64).to(kernel_device)
    nothing = torch.zeros(0, device=kernel_device)
    stats = RowStats(nothing, nothing, nothing, nothing, head.targets)
    found = kernels.stats_gradients(
        head.hidden_states, linear_head(head, bias=True), head.targets, stats, StatsGrad(nothing, nothing, nothing),
        NeedsGrad(True, True, True), workspace_bytes=None,
    )  # fmt: skip
    assert found.hidden_states.shape == (0, 8) and not found.weight.any() and not found.bias.any()
