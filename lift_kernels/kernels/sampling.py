"""Draw tokens from what a head predicts on a GPU: products a piece of the vocabulary at a time, and `sample_rows`."""

from __future__ import annotations

import torch
from torch import Tensor

from lift_kernels.kernels import plan as planning
from lift_kernels.kernels.arithmetic import LN_2
from lift_kernels.kernels.launch_configs import launch_config
from lift_kernels.kernels.plan import DEFAULT_WORKSPACE_BYTES, Plan
from lift_kernels.kernels.row_chunks import Scratch
from lift_kernels.kernels.sample_rows import NUM_PLANES
from lift_kernels.kernels.sample_rows import sample_rows as update_rows
from lift_kernels.kernels.waves import num_multiprocessors
from lift_kernels.linear_head import Draws, LinearHead, SampledRows


def sample_rows(
    hidden_states: Tensor, head: LinearHead, draws: Draws, *, workspace_bytes: int | None
) -> SampledRows:  # of (N, D)
    """Return a token for each row, its log-probability and the entropy."""
    num_rows, device = hidden_states.shape[0], hidden_states.device
    state = torch.empty((NUM_PLANES, num_rows), dtype=torch.float32, device=device)
    token = torch.empty(num_rows, dtype=torch.int32, device=device)
    if num_rows:
        workspace_bytes = DEFAULT_WORKSPACE_BYTES if workspace_bytes is None else workspace_bytes
        plan = _plan(hidden_states, head, workspace_bytes)
        scratch = Scratch.allocate(head.weight, plan, workspace_bytes, exponentials=False)
        launch = launch_config("sample_rows", hidden_states.dtype, device, num_rows)
        for rows in planning.slices(num_rows, plan.rows):
            own = draws.part(rows)
            own_state, own_token = state.new_empty((NUM_PLANES, rows.stop - rows.start)), token[rows]
            for columns in plan.column_chunks():
                products = scratch.weight.products(hidden_states[rows], columns, scratch.buffer)
                update_rows(products, columns, head, own, own_state, own_token, launch)
            state[:, rows] = own_state
    largest, others, weighted_others, _, logit = state  # in the order of `sample_rows`
    log_sum = others.log1p()
    entropy = log_sum - weighted_others * LN_2.value / (1 + others)
    return SampledRows(token.to(torch.int64), (logit - largest) - log_sum, entropy)


def _plan(hidden_states: Tensor, head: LinearHead, workspace_bytes: int) -> Plan:
    """Return pieces that fit: of as many rows as the workspace holds useful ones of."""
    (num_rows, width), num_columns = hidden_states.shape, head.weight.shape[0]
    processors = num_multiprocessors(hidden_states.device)
    rows = num_rows
    while rows:
        plan = planning.plan_statistics(rows, width, num_columns, workspace_bytes, processors)
        if plan is not None:
            return plan
        rows //= 2
    least = planning.least_statistics_bytes(width, num_columns)
    raise ValueError(
        f"workspace_bytes must be at least {least} for one row of V={num_columns}, D={width}, got {workspace_bytes}."
    )
