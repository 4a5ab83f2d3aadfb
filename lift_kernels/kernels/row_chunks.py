"""Statistics and exponentials of a chunk of rows, its logits a piece of the vocabulary at a time."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lift_kernels.kernels.head_products import HeadWeight, clear_padding, last_rows_part
from lift_kernels.kernels.launch_configs import launch_config
from lift_kernels.kernels.partial_statistics import PartialStatistics, target_thresholds
from lift_kernels.kernels.plan import Plan
from lift_kernels.kernels.softmax_rows import softmax_rows
from lift_kernels.kernels.workspace import Part, allocate
from lift_kernels.linear_head import LinearHead, RowStats


class Scratch(NamedTuple):
    """What a plan's chunks share, one after another."""

    weight: HeadWeight
    buffer: Tensor  # (plan.buffer_size,) float32
    exponentials: Tensor | None  # (plan.rows, plan.row_stride) in the dtype of the head

    @classmethod
    def allocate(cls, weight: Tensor, plan: Plan, workspace_bytes: int, *, exponentials: bool) -> Scratch:
        """Return scratch for a head's `weight` (V, D), with room for exponentials where asked for."""
        wanted = {"buffer": Part((plan.buffer_size,), torch.float32)}
        last_rows = last_rows_part(weight)
        if last_rows is not None:
            wanted["last_rows"] = last_rows
        apart = {"exponentials": Part((plan.rows, plan.row_stride), weight.dtype)} if exponentials else {}
        if not plan.exponentials_apart:
            wanted, apart = wanted | apart, {}
        found = dict(zip(wanted, allocate(weight, workspace_bytes, *wanted.values()), strict=True))
        if apart:
            # No larger than they are: the blocks of earlier gradients, which are all of one size, serve them.
            found |= zip(apart, allocate(weight, 0, *apart.values()), strict=True)
        if exponentials:
            clear_padding(found["exponentials"], plan.num_columns)
        return cls(HeadWeight(weight, found.get("last_rows")), found["buffer"], found.get("exponentials"))


def row_chunk(
    hidden_states: Tensor,  # (C, D)
    head: LinearHead,
    targets: Tensor | None,  # (C,)
    plan: Plan,
    scratch: Scratch,
    *,
    all_stats: bool,
    runner_up: bool = False,
    rank: bool = False,
) -> PartialStatistics:
    """Return the statistics of a chunk, in one part, and fill the scratch's exponentials where it has some."""
    num_rows = hidden_states.shape[0]
    exponentials = scratch.exponentials
    if exponentials is not None:
        exponentials = exponentials[:num_rows, : plan.num_columns]
    statistics = PartialStatistics.empty(num_rows, 1, hidden_states.device, runner_up=runner_up, rank=rank)
    thresholds = target_thresholds(hidden_states, head, targets) if rank and targets is not None else None
    launch = launch_config("softmax_rows", hidden_states.dtype, hidden_states.device, num_rows)
    for columns in plan.column_chunks():
        products = scratch.weight.products(hidden_states, columns, scratch.buffer)
        softmax_rows(
            products,
            columns,
            head,
            targets,
            statistics,
            exponentials,
            launch,
            all_stats=all_stats,
            thresholds=thresholds,
        )
    return statistics


def joined(stats: list[RowStats], device: torch.device) -> RowStats:
    """Return the statistics of chunks of rows as one; of no rows where there is none."""
    return RowStats.joined(stats or [PartialStatistics.empty(0, 1, device).merge()])
