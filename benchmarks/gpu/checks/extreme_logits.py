"""Logits where implementations lose digits: far below zero, and of tokens that are nearly certain."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from benchmarks.certainty import relative_errors
from benchmarks.gpu.checks.op_calls import LEAVES, Shape, call_loss, workspace_of
from benchmarks.gpu.checks.statistics import compare_statistics
from benchmarks.harness.check_result import CheckResult, relative_error
from benchmarks.harness.run_config import RunConfig
from benchmarks.ops.truth import logit_sizes, random_head, reference_losses
from lift_kernels.testing import Head


def far_below_zero(config: RunConfig, *, shape: Shape, dtype: torch.dtype, path: str) -> CheckResult:
    """All logits near -200: a column beyond the vocabulary, whose logit is 0, would take the whole probability."""
    head = random_head(*shape, dtype, config.device)
    head.hidden_states[:, 0], head.weight[:, 0] = 10.0, -20.0
    return _extreme_logits(config, head, path, lambda nll: head.targets != -100)


def confident(config: RunConfig, *, shape: Shape, dtype: torch.dtype, path: str) -> CheckResult:
    """p_gold -> 1, where probabilities rounded to the working dtype lose the gradient."""
    head = random_head(*shape, dtype, config.device, ignored=0)
    lengths = torch.linspace(5, 30, shape[0], device=config.device)
    gold = head.weight[head.targets].float()
    head = replace(head, hidden_states=(gold / gold.square().sum(1, keepdim=True) * lengths[:, None]).to(dtype))
    # Nearer to 1, float32 logits of up to 30 no longer tell how far.
    return _extreme_logits(config, head, path, lambda nll: -torch.expm1(-nll) > 1e-3)


def near_certainty(config: RunConfig, *, path: str) -> CheckResult:
    """A token with 1 - p down to 1e-12, in float32 against 40 digits: what a GPU's own exponential leaves of them."""
    result = CheckResult()
    for exponent in (3, 6, 9, 12):

        def loss(hidden_states: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
            head = Head(hidden_states, weight, weight[:, 0], targets, torch.ones_like(hidden_states[:, 0]))
            options = {"reduction": "sum", "workspace_bytes": workspace_of(path, head, config)}
            found: Tensor = call_loss(head, config.backend, has_bias=False, **options)
            return found

        # Rounding a logit of 30 costs 2e-6 of the others' sum.
        for name, error in zip(("loss", "gradient"), relative_errors(loss, exponent, config.device), strict=True):
            result.expect(
                f"{name} where 1 - p is 1e-{exponent}", error <= 1e-5, f"relative error {error:.2g}, allowed 1e-5"
            )
            result.add_numbers(worst_relative_error=max(error, result.numbers.get("worst_relative_error", 0)))
    return result


def _extreme_logits(config: RunConfig, head: Head, path: str, is_judged: Callable[[Tensor], Tensor]) -> CheckResult:
    """Losses, statistics, and each judged row's gradient by itself.

    Large logits cost digits that the plain implementation, which works relative to the largest one, may keep: so the
    error is compared with the gradient and not with the plain error. Column 0, where such logits come from, is left
    out: its gradient is a small difference of large numbers.
    """
    names, result = LEAVES[:2], CheckResult()
    workspace_bytes, ones = workspace_of(path, head, config), torch.ones_like(head.token_weight)
    truth = reference_losses(head.double(), names, ones.double(), has_bias=False)
    allowed = 4 * torch.finfo(head.weight.dtype).eps + 1e-2
    true = truth.gradients["hidden_states"][is_judged(truth.nll), 1:]
    for reduction, wanted in itertools.product(("none", "sum"), (names[:1], names)):
        leaves, label = head.trainable(*wanted), f"{'+'.join(wanted)} {reduction}"
        loss = call_loss(leaves, config.backend, has_bias=False, reduction=reduction, workspace_bytes=workspace_bytes)
        loss.sum().backward()
        if reduction == "none":
            size = logit_sizes(head, has_bias=False).nll
            result.compare_nats(f"{label} loss", loss.detach(), truth.nll, rtol=1e-5, logit_size=size)
        gradients = dict(zip(wanted, leaves.grads(*wanted), strict=True))
        ours = gradients["hidden_states"][is_judged(truth.nll), 1:].double()
        errors = {"a row": ((ours - true).norm(dim=1) / true.norm(dim=1)).max().item()}
        if "weight" in wanted:
            errors["weight"] = relative_error(gradients["weight"][:, 1:], truth.gradients["weight"][:, 1:])
        for name, error in errors.items():
            result.expect(
                f"{label} gradient of {name}", error <= allowed, f"relative error {error:.3g}, allowed {allowed:.3g}"
            )
        result.add_numbers(
            worst_row_gradient_error=max(errors["a row"], result.numbers.get("worst_row_gradient_error", 0))
        )
    compare_statistics(result, config, head, head.targets, workspace_bytes, has_bias=False, rtol=1e-5)
    return result
