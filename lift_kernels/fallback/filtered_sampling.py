"""Draw tokens from the most likely ones: top-k and top-p look at whole rows of logits, a few at a time.

The rules are those of transformers' processors, on z / temperature and in their order. On a GPU too it is torch's sort
that takes the time, so both backends come here.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lift_kernels.fallback.logits import LogitTiles
from lift_kernels.fallback.matmul import HeadRows
from lift_kernels.fallback.sampling import SoftmaxOfOthers, noise_of
from lift_kernels.fallback.tiles import (
    Tiling,
    default_workspace_bytes,
    least_workspace_bytes,
    plan_tiles,
    slices,
)
from lift_kernels.linear_head import Draws, LinearHead, SampledRows, statistics_dtype

# Beside the logits of a row, their sort and its int64 indices, probabilities, sums of them, and what is left out.
_VALUES_PER_LOGIT = 12
_NOISE_COLUMNS = 4096  # at a time, so that what noise is made of stays small beside a row


def sample_filtered_rows(
    hidden_states: Tensor,
    head: LinearHead,
    draws: Draws,
    *,
    top_k: int | None,
    top_p: float | None,
    workspace_bytes: int | None,
) -> SampledRows:  # of (N, D), at a temperature above 0
    """Return a token for each row, drawn from those that the filters keep; statistics are of all."""
    if workspace_bytes is None:
        workspace_bytes = default_workspace_bytes(hidden_states)
    num_rows, num_columns = hidden_states.shape[0], head.weight.shape[0]
    per_row = num_columns * statistics_dtype(hidden_states.dtype).itemsize * _VALUES_PER_LOGIT
    least = least_workspace_bytes(hidden_states) + per_row
    if workspace_bytes < least:
        raise ValueError(
            f"workspace_bytes must be at least {least} for top_k and top_p, which look at one row of "
            f"V={num_columns} at least, got {workspace_bytes}."
        )
    rows_at_once = min(max((workspace_bytes - least) // 2 // per_row, 1), max(num_rows, 1))
    tiling = plan_tiles(hidden_states, head.weight, workspace_bytes - rows_at_once * per_row)
    head_rows, blocks = HeadRows(head.weight, tiling.columns), []
    for rows in slices(num_rows, min(tiling.rows, rows_at_once)):
        blocks.append(_sampled(hidden_states[rows], head, draws.part(rows), tiling, head_rows, top_k, top_p))
    return SampledRows.joined(blocks)


def _sampled(
    hidden_states: Tensor,
    head: LinearHead,
    draws: Draws,
    tiling: Tiling,
    head_rows: HeadRows,
    top_k: int | None,
    top_p: float | None,
) -> SampledRows:
    tiles = LogitTiles(hidden_states, head, tiling, head_rows)
    softmax = SoftmaxOfOthers(tiles.buffer, tiles.num_rows)
    logits = tiles.buffer.new_empty((tiles.num_rows, tiling.num_columns))
    for columns in tiling.column_blocks():
        z, _ = tiles(columns)
        logits[:, columns] = z.t()
        softmax.update(z, columns)
    key = logits * (1 / draws.temperature)
    if top_k is not None:
        key = keep_top_k(key, top_k)
    if top_p is not None:
        key = keep_top_p(key, top_p)
    for columns in slices(tiling.num_columns, _NOISE_COLUMNS):
        key[:, columns] += noise_of(draws, columns).t()
    token = key.argmax(-1)
    return SampledRows(token, softmax.log_prob(logits.gather(-1, token[:, None])[:, 0]), softmax.entropy())


def keep_top_k(logits: Tensor, top_k: int) -> Tensor:
    """Return logits (N, V) with -inf below the k-th largest of a row; its equals stay."""
    least = logits.topk(min(top_k, logits.shape[-1]), dim=-1).values[:, -1:]
    return logits.masked_fill(logits < least, -torch.inf)


def keep_top_p(logits: Tensor, top_p: float) -> Tensor:
    """Return logits (N, V) with -inf for the least likely entries of a row that together have 1 - top_p at most."""
    ascending, index = logits.sort(dim=-1, stable=True)
    is_left_out = ascending.softmax(dim=-1).cumsum(dim=-1) <= 1 - top_p
    is_left_out[:, -1] = False
    return logits.masked_fill(torch.zeros_like(is_left_out).scatter_(-1, index, is_left_out), -torch.inf)
