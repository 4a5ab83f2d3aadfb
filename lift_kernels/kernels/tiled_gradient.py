"""The gradient G of some rows and columns of the logits, computed again a tile at a time: kernel and launcher.

With p = softmax(z), the gradient of sum_i w_i nll_i for the products h W^T is G = w scale slope (p - onehot). Losses of
statistics have w - e (log p + H), H the entropy, in the place of w, and at the target what `Rows` says.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from lift_kernels.kernels.arithmetic import LEAST_LOG_PROB, logit_slope, round_to
from lift_kernels.kernels.launch_configs import Launch
from lift_kernels.kernels.products import dot_precision
from lift_kernels.kernels.tiled_statistics import row_tile_index, tile_grid, tile_logits
from lift_kernels.linear_head import LinearHead


@triton.jit(do_not_specialize=["N", "V", "first_column", "exclude_index"])
def _tiled_gradient_kernel(
    hidden_states_ptr, weight_ptr, bias_ptr, targets_ptr, token_weight_ptr, lse_ptr, target_gradient_ptr,
    entropy_weight_ptr, entropy_ptr, factor_ptr, gradient_ptr, column_sums_ptr,
    N, V, D, first_column, exclude_index, logit_scale, logit_softcap,
    stride_hidden_states_n, stride_weight_v, stride_gradient_n, stride_column_sums_n,
    HAS_BIAS: tl.constexpr, HAS_SOFTCAP: tl.constexpr, HAS_TARGETS: tl.constexpr, HAS_EXCLUDED: tl.constexpr,
    HAS_ENTROPY: tl.constexpr, HAS_FACTOR: tl.constexpr, HAS_COLUMN_SUMS: tl.constexpr, EVEN_D: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCK_N: tl.constexpr, BLOCK_V: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    # N rows of a block, and V columns of a slab, which is the vocabulary from `first_column` on.
    i_row_tile = row_tile_index()
    if i_row_tile * BLOCK_N >= N:
        return
    offs_n = i_row_tile * BLOCK_N + tl.arange(0, BLOCK_N)
    offs_v = tl.program_id(1) * BLOCK_V + tl.arange(0, BLOCK_V)
    in_n, in_v = offs_n < N, offs_v < V
    z = tile_logits(
        hidden_states_ptr, weight_ptr, bias_ptr, offs_n, offs_v, stride_hidden_states_n, stride_weight_v,
        N, V, D, logit_scale, logit_softcap,
        HAS_BIAS, HAS_SOFTCAP, EVEN_D, PRECISION, BLOCK_N, BLOCK_V, BLOCK_D,
    )  # fmt: skip

    rows = tl.minimum(offs_n, N - 1)
    log_probs = z - tl.load(lse_ptr + rows)[:, None]
    gradient = tl.exp(log_probs)
    token_weight = tl.load(token_weight_ptr + rows)[:, None]
    if HAS_ENTROPY:
        # The sum first: both terms are far larger than it. And 0 * -inf would be nan.
        surprise = tl.maximum(log_probs, LEAST_LOG_PROB) + tl.load(entropy_ptr + rows)[:, None]
        gradient *= token_weight - tl.load(entropy_weight_ptr + rows)[:, None] * surprise
    else:
        gradient *= token_weight
    if HAS_TARGETS:
        column = tl.load(targets_ptr + rows) - first_column
        column = tl.where((column >= 0) & (column < V), column, -1).to(tl.int32)
        # The target's own column is never the difference of two rounded numbers.
        target_gradient = tl.load(target_gradient_ptr + rows)
        gradient = tl.where(column[:, None] == offs_v[None, :], target_gradient[:, None], gradient)
    if HAS_SOFTCAP:
        gradient *= logit_slope(z, logit_softcap)
    gradient *= logit_scale
    if HAS_EXCLUDED:
        gradient = tl.where((offs_v == exclude_index - first_column)[None, :], 0.0, gradient)
    if HAS_COLUMN_SUMS:
        column_sums = tl.sum(tl.where(in_n[:, None], gradient, 0.0), 0)
        tl.store(column_sums_ptr + i_row_tile * stride_column_sums_n + offs_v, column_sums, mask=in_v)
    if HAS_FACTOR:
        gradient *= tl.load(factor_ptr)
    tl.store(
        gradient_ptr + offs_n.to(tl.int64)[:, None] * stride_gradient_n + offs_v[None, :],
        round_to(gradient, gradient_ptr.dtype.element_ty),
        mask=in_n[:, None] & in_v[None, :],
    )


class Rows(NamedTuple):
    """What the gradients of R rows are made of."""

    hidden_states: Tensor  # (R, D)
    targets: Tensor | None  # (R,) int64; one outside [0, V) matches nothing
    token_weight: Tensor  # (R,) float32: w
    lse: Tensor  # (R,) float32
    target_gradient: Tensor | None  # (R,) float32, for the target's logit, where there are targets
    entropy_weight: Tensor | None = None  # (R,) float32: e
    entropy: Tensor | None = None  # (R,) float32: H, where there is e

    @classmethod
    def of_nll(
        cls, hidden_states: Tensor, targets: Tensor, token_weight: Tensor, lse: Tensor, log_prob: Tensor
    ) -> Rows:
        """Return what the gradients of sum_i token_weight_i nll_i are made of."""
        return cls(hidden_states, targets, token_weight, lse, token_weight * torch.expm1(log_prob))

    def part(self, rows: slice) -> Rows:
        return Rows(*(None if values is None else values[rows] for values in self))  # type: ignore[arg-type]


def tiled_gradient(
    rows: Rows,
    head: LinearHead,  # of C columns of the vocabulary, from `first_column` on
    first_column: int,
    factor: Tensor | None,  # 0-d float32
    gradient: Tensor,  # (R, C)
    column_sums: Tensor | None,  # float32, scratch for at least (row tiles, C)
    launch: Launch,
) -> Tensor | None:
    """Write factor * G of some rows and columns; with scratch for it, also return the sums of G over the rows, (C,)."""
    (num_rows, width), num_columns, blocks = rows.hidden_states.shape, head.weight.shape[0], launch.blocks
    num_row_tiles = triton.cdiv(num_rows, blocks["BLOCK_N"])
    _tiled_gradient_kernel[tile_grid(num_row_tiles, triton.cdiv(num_columns, blocks["BLOCK_V"]))](
        rows.hidden_states, head.weight, head.bias, rows.targets, rows.token_weight, rows.lse,
        rows.target_gradient, rows.entropy_weight, rows.entropy, factor, gradient, column_sums,
        num_rows, num_columns, width, first_column, -1 if head.exclude_index is None else head.exclude_index,
        head.scale, head.softcap or 0.0, rows.hidden_states.stride(0), head.weight.stride(0), gradient.stride(0),
        0 if column_sums is None else column_sums.stride(0),
        HAS_BIAS=head.bias is not None, HAS_SOFTCAP=head.softcap is not None,
        HAS_TARGETS=rows.targets is not None, HAS_EXCLUDED=head.exclude_index is not None,
        HAS_ENTROPY=rows.entropy_weight is not None, HAS_FACTOR=factor is not None,
        HAS_COLUMN_SUMS=column_sums is not None, EVEN_D=width % blocks["BLOCK_D"] == 0,
        PRECISION=dot_precision(gradient.dtype),
        **launch.options,
    )  # fmt: skip
    return None if column_sums is None else column_sums[:num_row_tiles, :num_columns].sum(0)
