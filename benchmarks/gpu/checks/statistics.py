"""The statistics pass against float64, and which of equally likely tokens wins."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu.checks.op_calls import VARIANTS, Shape, call_stats, workspace_of
from benchmarks.harness.check_result import CheckResult
from benchmarks.harness.run_config import RunConfig
from benchmarks.ops.truth import logit_sizes, random_head, reference_stats
from lift_kernels import reference
from lift_kernels.testing import Head


def statistics(
    config: RunConfig, *, shape: Shape, dtype: torch.dtype, path: str, variant: str = "plain"
) -> CheckResult:
    """All five statistics, with targets and without."""
    head = random_head(*shape, dtype, config.device)
    result = CheckResult()
    for targets in (head.targets, None):
        compare_statistics(
            result, config, head, targets, workspace_of(path, head, config), has_bias=variant != "plain",
            **VARIANTS[variant],
        )  # fmt: skip
    return result


def ties(config: RunConfig, *, vocab_size: int, path: str) -> CheckResult:
    """The lowest of equally likely tokens wins, also across blocks."""
    head = random_head(3, 64, vocab_size, torch.bfloat16, config.device, ignored=0)
    weight = torch.zeros_like(head.weight)
    tied = [7, 8, vocab_size - 1]
    weight[tied] = 1.0
    equal = replace(head, hidden_states=torch.ones_like(head.hidden_states), weight=weight)
    stats = call_stats(equal, None, config.backend, has_bias=False, workspace_bytes=workspace_of(path, head, config))
    result = CheckResult()
    result.compare_exactly("argmax", stats.argmax, torch.full_like(stats.argmax, tied[0]))
    return result


def compare_statistics(
    result: CheckResult,
    config: RunConfig,
    head: Head,
    targets: Tensor | None,
    workspace_bytes: int | None,
    *,
    has_bias: bool = True,
    rtol: float = 1e-6,
    **options: Any,
) -> None:
    """Compare the statistics of `head` with float64; `options` reach both the reference and our op."""
    wide = head.double()
    wide_bias = wide.bias if has_bias else None
    ours = call_stats(head, targets, config.backend, has_bias=has_bias, workspace_bytes=workspace_bytes, **options)
    truth = reference_stats(wide, targets, has_bias=has_bias, **options)
    sizes = logit_sizes(head, has_bias=has_bias, **options)
    for name, value, true in zip(ours._fields[:4], ours[:4], truth[:4], strict=True):
        size = sizes.nll if name == "log_prob" else sizes.largest
        result.compare_nats(name, value, true, rtol=rtol, logit_size=size)
    is_target = torch.ones_like(ours.argmax, dtype=torch.bool) if targets is None else targets != -100
    result.compare_exactly(
        "argmax of ignored rows", ours.argmax[~is_target], torch.full_like(ours.argmax[~is_target], -1)
    )
    # Two logits may be nearer to each other than float32 tells apart: the token must be as likely as the true one.
    for rows in is_target.nonzero()[:, 0].split(256):
        logits = reference.linear_logits(wide.hidden_states[rows], wide.weight, wide_bias, **options)
        chosen = ours.argmax[rows, None].clamp(0, logits.shape[1] - 1)
        gap = logits.amax(1) - logits.gather(1, chosen)[:, 0]
        result.compare_nats("logit of argmax", gap, torch.zeros_like(gap), logit_size=sizes.largest[rows])
