"""Draws of the forward process and of the selection: bit-equal to the torch backend on a CPU."""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.gpu.checks.op_calls import compare_all
from benchmarks.harness.check_result import CheckResult
from benchmarks.harness.run_config import RunConfig
from lift_kernels import corrupt_tokens
from lift_kernels.ops.select_tokens import registered_select_tokens


def same_corruption(config: RunConfig, *, num_rows: int, length: int) -> CheckResult:
    """Bit-equal to the torch backend on a CPU, for every form of the arguments."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(1000, (num_rows, length), generator=generator)
    row_ids = torch.randint(-(2**62), 2**62, (num_rows,), generator=generator)
    maskable = torch.rand(ids.shape, generator=generator) < 0.8
    result = CheckResult()
    for seed in (0, 7, 2**63 - 1):
        for mask_prob in (torch.rand(num_rows, generator=generator), torch.rand(ids.shape, generator=generator)):
            for optional in ({}, {"maskable": maskable, "row_ids": row_ids}):
                tensors: dict[str, Any] = {"input_ids": ids, "mask_prob": mask_prob, **optional}
                fixed: dict[str, Any] = {"mask_token_id": 1000, "seed": seed}
                expected = corrupt_tokens(**tensors, **fixed, backend="torch")
                moved = {name: tensor.to(config.device) for name, tensor in tensors.items()}
                ours = corrupt_tokens(**moved, **fixed, backend=config.backend)
                compare_all(result, f"seed {seed}", [value.cpu() for value in ours], list(expected))
    return result


def same_selection(config: RunConfig, *, num_rows: int, length: int) -> CheckResult:
    """Bit-equal to the torch backend on a CPU, with ties, nan and infinities among the scores."""
    generator = torch.Generator().manual_seed(0)
    score = torch.randn(num_rows, length, generator=generator).round(decimals=1)  # many ties
    score[:, 0], score[:, 1], score[:, 2] = torch.nan, -0.0, torch.inf
    is_masked = torch.rand(score.shape, generator=generator) < 0.6
    num_masked = is_masked.sum(1)
    order = torch.arange(num_rows) % 3 - 1
    row_ids = torch.randint(-(2**62), 2**62, (num_rows,), generator=generator)
    result = CheckResult()
    for dtype in (torch.float32, torch.bfloat16):
        for num_keep in (num_masked // 2, num_masked, torch.zeros_like(num_masked)):
            for ids in (None, row_ids):
                tensors = (score.to(dtype), is_masked, num_keep, order)
                # The registered op: the public one refuses nan where it can read it, on a CPU.
                expected = registered_select_tokens(*tensors, 3, ids, "torch")
                moved = [tensor.to(config.device) for tensor in tensors]
                moved_ids = None if ids is None else ids.to(config.device)
                ours = registered_select_tokens(*moved, 3, moved_ids, config.backend)
                result.compare_exactly(str(dtype), ours.cpu(), expected)
    return result
