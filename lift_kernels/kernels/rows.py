"""Copy rows: gather some, spread them back among zeros, scale them on the way."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from lift_kernels.kernels.arithmetic import round_to
from lift_kernels.kernels.launch_configs import COPY_ROWS


@triton.jit
def _copy_rows_kernel(
    rows_ptr, index_ptr, scale_ptr, out_ptr,
    stride_rows_n, stride_out_n, D,
    HAS_INDEX: tl.constexpr, HAS_SCALE: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    i_n = tl.program_id(0).to(tl.int64)
    offs_d = tl.program_id(1) * BLOCK_D + tl.arange(0, BLOCK_D)
    source, width = i_n, D
    if HAS_INDEX:
        source = tl.load(index_ptr + i_n)
        # A row without a source (-1) is written as zeros in the same pass: no memory has to be cleared before.
        width = tl.where(source >= 0, D, 0)
    row = tl.load(rows_ptr + source * stride_rows_n + offs_d, mask=offs_d < width, other=0.0).to(tl.float32)
    if HAS_SCALE:
        row = row * tl.load(scale_ptr + i_n)
    tl.store(out_ptr + i_n * stride_out_n + offs_d, round_to(row, out_ptr.dtype.element_ty), mask=offs_d < D)


def copy_rows(
    rows: Tensor,  # (N, D)
    out: Tensor,  # (M, D), any floating dtype
    *,
    index: Tensor | None = None,  # (M,) int64, -1 for a row of zeros; None for 0, 1, 2, ...
    scale: Tensor | None = None,  # (M,) float32
) -> Tensor:
    """Write out[i] = scale[i] * rows[index[i]], multiplied in float32 and rounded once."""
    num_rows, width = out.shape
    if rows.stride(-1) != 1:
        rows = rows.contiguous()
    if num_rows:
        _copy_rows_kernel[(num_rows, triton.cdiv(width, COPY_ROWS.blocks["BLOCK_D"]))](
            rows, index, scale, out, rows.stride(0), out.stride(0), width,
            HAS_INDEX=index is not None, HAS_SCALE=scale is not None,
            **COPY_ROWS.options,
        )  # fmt: skip
    return out


def take_rows(rows: Tensor, index: Tensor) -> Tensor:
    """rows[index]: (N, D), (M,) -> (M, D)."""
    return copy_rows(rows, rows.new_empty((index.shape[0], rows.shape[1])), index=index)


def spread_rows(rows: Tensor, index: Tensor, num_rows: int) -> Tensor:
    """(M, D), (M,) -> (num_rows, D): out[index[i]] = rows[i], zeros elsewhere."""
    position = index.new_full((num_rows,), -1)
    position[index] = torch.arange(index.shape[0], device=index.device)
    return copy_rows(rows, rows.new_empty((num_rows, rows.shape[1])), index=position)
