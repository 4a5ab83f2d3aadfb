"""The visit of every logit that gathers statistics, and on request what the gradients need.

As in FlashAttention, the sum over the vocabulary of exp(z - m) W is rescaled whenever the running maximum m grows
(Milakov and Gimelshein, arXiv 1805.02867). The targets' part is added at the end, in the statistics dtype.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lift_kernels.fallback.logits import LogitTiles, logit_slope
from lift_kernels.fallback.matmul import HeadRows, add_product, zero_sums
from lift_kernels.fallback.online_softmax import OnlineSoftmax
from lift_kernels.fallback.target_rows import add_to_hidden
from lift_kernels.fallback.tiles import Tiling
from lift_kernels.linear_head import LinearHead, RowStats, gradient_dtype, statistics_dtype


@dataclass
class FirstPass:
    """What the visit of some rows found; gradients are those of their nll, each of weight 1."""

    stats: RowStats
    grad_hidden: Tensor | None = None  # (N, D) in the statistics dtype
    exponentials: Tensor | None = None  # (V, N) of the others, in the dtype of the gradients
    factors: Tensor | None = None  # (T, N): exponentials of tile t times factors[t] are the gradients for logits
    at_target: Tensor | None = None  # (N,): and these are those at the targets


def gather_stats(
    hidden_states: Tensor,
    head: LinearHead,
    targets: Tensor | None,
    tiling: Tiling,
    *,
    all_stats: bool,
    runner_up: bool = False,
    rank: bool = False,
) -> RowStats:
    """Return the statistics of every row."""
    head_rows = HeadRows(head.weight, tiling.columns)
    blocks = []
    for rows in tiling.row_blocks():
        logits = LogitTiles(hidden_states[rows], head, tiling, head_rows)
        softmax = OnlineSoftmax(
            _sums(hidden_states[rows]), None if targets is None else targets[rows], all_stats=all_stats,
            runner_up=runner_up or rank,
            threshold=head.logits_of(hidden_states[rows], targets[rows]) if rank and targets is not None else None,
        )  # fmt: skip
        for columns in tiling.column_blocks():
            softmax.update(logits(columns)[0], columns)
        blocks.append(softmax.finish())
    return RowStats.joined(blocks)


def gather_gradients(
    hidden_states: Tensor,
    head: LinearHead,
    targets: Tensor,
    tiling: Tiling,
    head_rows: HeadRows,
    *,
    all_stats: bool,
    grad_hidden: bool,
    keep_exponentials: bool,
) -> FirstPass:
    """Visit the logits of rows that one tile holds."""
    num_rows, num_columns = hidden_states.shape[0], head.weight.shape[0]
    dtype, sums_dtype = gradient_dtype(hidden_states.dtype), statistics_dtype(hidden_states.dtype)
    logits = LogitTiles(hidden_states, head, tiling, head_rows)
    softmax = OnlineSoftmax(_sums(hidden_states), targets, all_stats=all_stats)
    expectation = zero_sums(hidden_states) if grad_hidden else None
    exponentials = hidden_states.new_empty((num_columns, num_rows), dtype=dtype) if keep_exponentials else None
    references = []
    for columns in tiling.column_blocks():
        z, weight = logits(columns)
        slope = logit_slope(head, z)
        correction = softmax.update(z, columns)
        if slope is not None:
            z *= slope
        operand = z
        if exponentials is not None:
            kept = exponentials[columns].copy_(z)
            references.append(softmax.max)
            operand = kept if head_rows.operand_dtype == dtype else z
        if expectation is not None:
            expectation *= correction[:, None]
            add_product(expectation, operand.to(head_rows.operand_dtype).t(), weight)

    share = torch.sigmoid(softmax.log_odds_against()) * head.scale  # of the others in the probability
    target_slope = logit_slope(head, softmax.target_logit)
    at_target = -share if target_slope is None else -share * target_slope
    share /= softmax.sum.clamp(min=torch.finfo(sums_dtype).tiny)  # there may be no others
    if expectation is not None:
        expectation *= share[:, None]
        add_to_hidden(expectation, at_target, head.weight, targets)
    found = FirstPass(softmax.finish(), expectation, exponentials, None, at_target)
    if exponentials is not None:
        found.factors = torch.stack(references).sub_(softmax.max).exp_().mul_(share)
    return found


def _sums(hidden_states: Tensor) -> Tensor:
    """(N, 0): what the statistics of these rows are like."""
    return hidden_states.new_empty((hidden_states.shape[0], 0), dtype=statistics_dtype(hidden_states.dtype))
