"""Draw tokens from what a head predicts on a GPU.

Two paths, as in `linear_cross_entropy`: products a piece of the vocabulary at a time, with `sample_rows` after each; or
logits on chip only (`tiled_samples`), for few rows and where the workspace holds no useful piece.
"""

from __future__ import annotations

from torch import Tensor

from lift_kernels.kernels import plan as planning
from lift_kernels.kernels.launch_configs import launch_config
from lift_kernels.kernels.partial_samples import PartialSamples
from lift_kernels.kernels.plan import DEFAULT_WORKSPACE_BYTES, Plan
from lift_kernels.kernels.row_chunks import Scratch
from lift_kernels.kernels.sample_rows import sample_rows as update_samples
from lift_kernels.kernels.tiled_samples import tiled_samples
from lift_kernels.kernels.waves import num_multiprocessors
from lift_kernels.linear_head import Draws, LinearHead, SampledRows


def sample_rows(
    hidden_states: Tensor, head: LinearHead, draws: Draws, *, workspace_bytes: int | None
) -> SampledRows:  # of (N, D)
    """Return a token for each row, its log-probability and the entropy."""
    (num_rows, width), num_columns = hidden_states.shape, head.weight.shape[0]
    workspace_bytes = DEFAULT_WORKSPACE_BYTES if workspace_bytes is None else workspace_bytes
    least = planning.least_statistics_bytes(width, num_columns)
    if workspace_bytes < least:
        raise ValueError(
            f"workspace_bytes must be at least {least} for one row of V={num_columns}, D={width}, "
            f"got {workspace_bytes}."
        )
    plan = None
    if num_rows > planning.FEW_ROWS:
        processors = num_multiprocessors(hidden_states.device)
        plan = planning.plan_statistics(num_rows, width, num_columns, workspace_bytes, processors)
    if plan is None:
        return tiled_samples(hidden_states, head, draws)
    return _sampled_in_pieces(hidden_states, head, draws, plan, workspace_bytes)


def _sampled_in_pieces(
    hidden_states: Tensor, head: LinearHead, draws: Draws, plan: Plan, workspace_bytes: int
) -> SampledRows:
    scratch = Scratch.allocate(head.weight, plan, workspace_bytes, exponentials=False)
    launch = launch_config("sample_rows", hidden_states.dtype, hidden_states.device, plan.num_rows)
    sampled = []
    for rows in plan.row_chunks():
        part = hidden_states[rows]
        samples = PartialSamples.empty(part.shape[0], 1, part.device)
        for columns in plan.column_chunks():
            products = scratch.weight.products(part, columns, scratch.buffer)
            update_samples(products, columns, head, draws.part(rows), samples, launch)
        sampled.append(samples.merge())
    return SampledRows.joined(sampled)
