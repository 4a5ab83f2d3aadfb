"""Equal calls give equal bits: races, memory that was never written, and a second backward pass."""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.gpu.checks.op_calls import (
    LEAVES,
    Shape,
    call_loss,
    call_stats,
    compare_all,
    loss_and_gradients,
    workspace_of,
)
from benchmarks.harness.check_result import CheckResult
from benchmarks.harness.memory import MIB
from benchmarks.harness.run_config import RunConfig
from benchmarks.ops.truth import random_head


def repeats(config: RunConfig, *, shape: Shape, path: str, times: int = 20) -> CheckResult:
    """A race would show as a bit that differs between equal calls."""
    head = random_head(*shape, torch.bfloat16, config.device)
    result = CheckResult()
    for reduction in ("sum", "none"):
        options: dict[str, Any] = {"reduction": reduction, "workspace_bytes": workspace_of(path, head, config)}
        first = loss_and_gradients(head, config, **options)
        for number in range(1, times):
            compare_all(result, f"{reduction}, call {number}", loss_and_gradients(head, config, **options), first)
    return result


def poisoned_memory(config: RunConfig, *, shape: Shape, path: str) -> CheckResult:
    """What is read without having been written shows where the allocator hands out memory full of nan."""
    head = random_head(*shape, torch.bfloat16, config.device)
    result = CheckResult()
    for reduction in ("sum", "none"):
        options: dict[str, Any] = {"reduction": reduction, "workspace_bytes": workspace_of(path, head, config)}
        clean = loss_and_gradients(head, config, **options)
        result.expect(reduction, all(bool(value.isfinite().all()) for value in clean), "not all finite")
        _poison(config)
        compare_all(result, reduction, loss_and_gradients(head, config, **options), clean)
    workspace_bytes = workspace_of(path, head, config)

    def statistics() -> list[torch.Tensor]:
        return list(call_stats(head, head.targets, config.backend, has_bias=False, workspace_bytes=workspace_bytes))

    clean_stats = statistics()
    _poison(config)
    compare_all(result, "statistics", statistics(), clean_stats)
    return result


def retained_graph(config: RunConfig, *, shape: Shape, path: str) -> CheckResult:
    """Further backward passes give the gradients of the first, also after those were changed in place."""
    head = random_head(*shape, torch.bfloat16, config.device)
    result = CheckResult()
    for reduction in ("sum", "none"):
        leaves = head.trainable(*LEAVES)
        loss = call_loss(
            leaves, config.backend, reduction=reduction, workspace_bytes=workspace_of(path, head, config)
        ).sum()
        seen = []
        for _ in range(3):
            loss.backward(retain_graph=True)
            seen.append([gradient.clone() for gradient in leaves.grads(*LEAVES)])
            for gradient in leaves.grads(*LEAVES):
                gradient.zero_()  # in place, as optimisers do
        for again in seen[1:]:
            compare_all(result, reduction, again, seen[0])
        result.expect(reduction, bool(seen[0][1].any()), "all gradients are 0")
    return result


def _poison(config: RunConfig) -> None:
    """Leave freed blocks of every size behind whose bits are all ones: nan in every floating dtype, else -1."""
    if not config.on_gpu:
        return
    torch.cuda.empty_cache()
    sizes = [2048 * MIB, *[64 * MIB] * 4, *[2 * MIB] * 16, *[512 << 10] * 32, *[4 << 10] * 256]
    blocks = [torch.full((size,), -1, dtype=torch.int8, device=config.device) for size in sizes]
    del blocks
