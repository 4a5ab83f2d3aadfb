"""Extra memory of the loss at its peak, against what `linear_cross_entropy` states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu.checks.op_calls import LEAVES, Shape, call_loss
from benchmarks.harness.check_result import CheckResult
from benchmarks.harness.memory import MIB, cuda_peak_of
from benchmarks.harness.run_config import RunConfig
from benchmarks.ops.truth import random_head


def peak_memory(
    config: RunConfig,
    *,
    shape: Shape,
    workspace_bytes: int | None,
    names: tuple[str, ...],
    float32_sums: tuple[str, ...] = (),
) -> CheckResult:
    """Extra memory at its peak: the workspace, the gradients asked for, and float32 sums of those of `float32_sums`.

    The backward pass takes no more: it forms what was deferred, and scales the other gradients in place.
    """
    head = random_head(*shape, torch.bfloat16, config.device, ignored=0)
    leaves = replace(head, **{name: getattr(head, name).requires_grad_(name in names) for name in LEAVES})
    wanted = [getattr(leaves, name) for name in names]
    options: dict[str, Any] = {
        "reduction": "mean",
        "num_targets": shape[0],
        "has_bias": False,
        "workspace_bytes": workspace_bytes,
    }

    def forward() -> Tensor:
        return call_loss(leaves, config.backend, **options)

    def step() -> Sequence[Tensor]:
        return torch.autograd.grad(forward(), wanted)

    step()  # compiles, and gives cuBLAS its own workspace
    gradients = sum(leaf.numel() * leaf.element_size() for leaf in wanted)
    sums = sum(4 * getattr(leaves, name).numel() for name in float32_sums)
    small = 16 * MIB  # statistics of the rows, and rounding of the allocator
    workspace_limit = 1024 * MIB if workspace_bytes is None else workspace_bytes
    allowed = workspace_limit + gradients + sums + small
    forward_extra, step_extra = cuda_peak_of(forward), cuda_peak_of(step)
    result = CheckResult()
    result.add_numbers(
        forward_extra_mib=forward_extra / MIB, step_extra_mib=step_extra / MIB, gradients_mib=gradients / MIB,
        beyond_gradients_mib=(forward_extra - gradients) / MIB, workspace_mib=workspace_limit / MIB,
    )  # fmt: skip
    for label, extra in (("forward", forward_extra), ("step", step_extra)):
        result.expect(label, extra <= allowed, f"{extra / MIB:.0f} MiB extra, allowed {allowed / MIB:.0f}")
    return result
