"""The gradients of rows whose statistics are known: logits are computed again, and each tile is finished at once."""

from __future__ import annotations

import torch
from torch import Tensor

from lift_kernels.fallback.logits import LogitTiles, logit_slope, take_targets
from lift_kernels.fallback.matmul import HeadRows, add_product
from lift_kernels.fallback.target_rows import add_to_bias, add_to_hidden, add_to_weight
from lift_kernels.fallback.tiles import Tiling
from lift_kernels.linear_head import Gradients, LinearHead, NeedsGrad, RowStats, StatsGrad, gradient_dtype

_LEAST_LOG_PROB = -1000.0  # its exponential is 0 in float64 too, and products with it stay finite


def second_pass(
    hidden_states: Tensor,
    head: LinearHead,
    targets: Tensor | None,
    stats: RowStats,
    grad: StatsGrad,
    needs_grad: NeedsGrad,
    tiling: Tiling,
) -> Gradients:
    """Return the gradients of sum_i of grad's entries times the statistics'.

    With p = softmax(z), y the target and H the entropy, the derivatives for z_v are [v = y] - p_v of log_prob, p_v of
    lse and -p_v (log p_v + H) of the entropy.
    """
    dtype, (num_columns, width) = gradient_dtype(hidden_states.dtype), head.weight.shape
    # new_*, not *_like: a registered op promises contiguous outputs, and a tied head may come transposed.
    grad_hidden = stats.lse.new_zeros(hidden_states.shape) if needs_grad.hidden_states else None
    grad_weight = head.weight.new_empty((num_columns, width), dtype=dtype) if needs_grad.weight else None
    grad_bias = stats.lse.new_zeros(num_columns) if needs_grad.bias else None
    coefficients = _Coefficients(stats, grad, head.scale)
    target_logit = torch.zeros_like(stats.lse)
    head_rows = HeadRows(head.weight, tiling.columns)
    # One block is prepared once; several are prepared at each visit, so that only one takes room.
    only_block = LogitTiles(hidden_states, head, tiling, head_rows) if tiling.is_one_block else None
    for columns in tiling.column_blocks():
        weight_sum = None
        for rows in tiling.row_blocks():
            logits = only_block or LogitTiles(hidden_states[rows], head, tiling, head_rows)
            z, weight = logits(columns)
            if targets is not None:
                target_logit[rows] = take_targets(z, targets[rows], columns, target_logit[rows])
            slope = logit_slope(head, z)
            g = coefficients.of_others(z, rows)
            if slope is not None:
                g *= slope
            if grad_bias is not None:
                grad_bias[columns] += g.sum(1)
            operand = g.to(head_rows.operand_dtype)
            if grad_hidden is not None:
                add_product(grad_hidden[rows], operand.t(), weight)
            if grad_weight is not None:
                partial = (operand @ hidden_states[rows].to(operand.dtype)).to(g.dtype)
                weight_sum = partial if weight_sum is None else weight_sum.add_(partial)
        if grad_weight is not None and weight_sum is not None:
            grad_weight[columns] = weight_sum
    if targets is not None:
        at_target = coefficients.of_targets()
        slope = logit_slope(head, target_logit)
        at_target = at_target if slope is None else at_target * slope
        if grad_hidden is not None:
            for rows in tiling.row_blocks():
                add_to_hidden(grad_hidden[rows], at_target[rows], head.weight, targets[rows])
        if grad_weight is not None:
            add_to_weight(grad_weight, at_target, hidden_states, targets)
        if grad_bias is not None:
            add_to_bias(grad_bias, at_target, targets)
    return Gradients(
        None if grad_hidden is None else grad_hidden.to(dtype),
        grad_weight,
        None if grad_bias is None else grad_bias.to(dtype),
    )


class _Coefficients:
    """d loss / d (logit before its softcap), without the softcap's slope."""

    def __init__(self, stats: RowStats, grad: StatsGrad, scale: float) -> None:
        zero = torch.zeros_like(stats.lse)
        self.stats = stats
        self.log_prob, self.lse = (zero if g is None else g * scale for g in (grad.log_prob, grad.lse))
        self.entropy = None if grad.entropy is None else grad.entropy * scale

    def of_others(self, z: Tensor, rows: slice) -> Tensor:
        """(K, N) from the logits z (K, N), in their place; 0 where a logit is -inf."""
        z -= self.stats.lse[rows]
        linear = (self.lse - self.log_prob)[rows]
        if self.entropy is None:
            return z.exp_().mul_(linear)
        factor = z.clamp(min=_LEAST_LOG_PROB).add_(self.stats.entropy[rows])
        return factor.mul_(-self.entropy[rows]).add_(linear).mul_(z.exp_())

    def of_targets(self) -> Tensor:
        """(N,), where 1 - p keeps its relative precision."""
        log_prob = self.stats.log_prob
        probability = log_prob.exp()
        total = self.lse * probability - self.log_prob * torch.expm1(log_prob)
        if self.entropy is not None:
            log_prob = log_prob.clamp(min=_LEAST_LOG_PROB)
            total -= self.entropy * probability * (log_prob + self.stats.entropy)
        return total
