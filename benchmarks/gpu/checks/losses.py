"""Losses and gradients against float64: every set of leaves, every reduction, few rows and very many."""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.gpu.checks.op_calls import LEAVES, VARIANTS, Shape, call_loss, workspace_of
from benchmarks.gpu.checks.statistics import compare_statistics
from benchmarks.harness.check_result import CheckResult
from benchmarks.harness.run_config import RunConfig
from benchmarks.ops.truth import logit_sizes, random_head, reference_losses
from lift_kernels.testing import Head


def losses_and_gradients(
    config: RunConfig,
    *,
    shape: Shape,
    dtype: torch.dtype,
    path: str,
    variant: str = "plain",
    names: tuple[tuple[str, ...], ...] = (("hidden_states",), ("weight", "bias"), LEAVES),
    reductions: tuple[str, ...] = ("none", "sum", "mean"),
) -> CheckResult:
    """Every set of leaves, every reduction, weights of 1e-3 to 1e3 or none, the number of targets given or not."""
    head = random_head(*shape, dtype, config.device)
    has_bias = variant != "plain"
    result = CheckResult()
    for leaves in names:
        wanted = tuple(name for name in leaves if has_bias or name != "bias")
        for number, reduction in enumerate(reductions):
            _compare_losses(
                result, config, head, wanted, reduction, workspace_bytes=workspace_of(path, head, config),
                is_weighted=has_bias or reduction != "mean", gives_count=number % 2 == 1, has_bias=has_bias,
                **VARIANTS[variant],
            )  # fmt: skip
    return result


def numbers_of_rows(config: RunConfig, *, shape: Shape, path: str) -> CheckResult:
    """No row, one, around a block of N, and rows that are all ignored; the number of targets given and not."""
    result = CheckResult()
    block, width, vocab_size = shape
    for num_rows, ignored in ((0, 0.0), (1, 0.0), (block - 1, 0.25), (block + 1, 0.25), (block + 1, 2.0)):
        head = random_head(num_rows, width, vocab_size, torch.bfloat16, config.device, ignored=ignored)
        for reduction in ("none", "sum", "mean"):
            for gives_count in (False, True):
                _compare_losses(
                    result, config, head, LEAVES, reduction, workspace_bytes=workspace_of(path, head, config),
                    is_weighted=True, gives_count=gives_count,
                )  # fmt: skip
        compare_statistics(result, config, head, head.targets, workspace_of(path, head, config))
    return result


def beyond_int32(config: RunConfig, *, shape: Shape, path: str) -> CheckResult:
    """N V > 2^31: offsets in 32 bits would wrap. All rows are compared; the last ones again by themselves."""
    head = random_head(*shape, torch.bfloat16, config.device, ignored=0)
    result = CheckResult()
    ones = torch.ones_like(head.token_weight)
    names = ("hidden_states", "weight")
    truth = reference_losses(head.double(), names, ones.double(), has_bias=False)
    plain = reference_losses(head, names, ones, has_bias=False)
    sizes = logit_sizes(head, has_bias=False)
    for wanted in (names[:1], names):
        leaves = head.trainable(*wanted)
        loss, stats = call_loss(
            leaves, config.backend, has_bias=False, reduction="sum", num_targets=shape[0], return_stats=True,
            workspace_bytes=workspace_of(path, head, config),
        )  # fmt: skip
        loss.backward()
        label = "+".join(wanted)
        result.compare_nats(f"{label} log_prob", stats.log_prob, -truth.nll, logit_size=sizes.nll)
        for name in wanted:
            ours = getattr(leaves, name).grad
            result.compare_gradient(f"{label} gradient of {name}", ours, truth.gradients[name], plain.gradients[name])
        last = slice(-64, None)
        true, rough = (source.gradients["hidden_states"][last] for source in (truth, plain))
        result.compare_gradient(f"{label} last rows", leaves.grads("hidden_states")[0][last], true, rough)
    return result


def _compare_losses(
    result: CheckResult,
    config: RunConfig,
    head: Head,
    names: tuple[str, ...],
    reduction: str,
    *,
    workspace_bytes: int | None,
    is_weighted: bool,
    gives_count: bool,
    **options: Any,
) -> None:
    """`options` reach both the reference and our op."""
    count = int((head.targets != -100).sum())
    weight = head.token_weight if is_weighted else torch.ones_like(head.token_weight)
    upstream = torch.randn_like(weight) if reduction == "none" else torch.ones_like(weight)
    factor = weight * upstream / (max(count, 1) if reduction == "mean" else 1)
    truth = reference_losses(head.double(), names, factor.double(), **options)
    plain = reference_losses(head, names, factor, **options)

    leaves = head.trainable(*names)
    loss = call_loss(
        leaves, config.backend, token_weight=weight if is_weighted else None, reduction=reduction,
        num_targets=count if gives_count else None, workspace_bytes=workspace_bytes, **options,
    )  # fmt: skip
    loss.backward(upstream if reduction == "none" else None)

    label = f"{'+'.join(names)} {reduction}"
    true_loss, size = (values * weight for values in (truth.nll, logit_sizes(head, **options).nll))
    if reduction != "none":
        true_loss, size = (values.sum() / (max(count, 1) if reduction == "mean" else 1) for values in (true_loss, size))
    result.compare_nats(f"{label} loss", loss.detach(), true_loss, logit_size=size)
    for name in names:
        ours = getattr(leaves, name).grad
        result.compare_gradient(f"{label} gradient of {name}", ours, truth.gradients[name], plain.gradients[name])
        result.expect(f"{label} gradient of {name}", ours.dtype == head.weight.dtype, f"has dtype {ours.dtype}")
