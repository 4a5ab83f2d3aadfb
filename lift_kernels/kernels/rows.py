"""Copy rows: gather some, spread them back among zeros, scale them and add others on the way."""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from lift_kernels.kernels.arithmetic import round_to
from lift_kernels.kernels.launch_configs import COPY_ROWS


@triton.jit
def _copy_rows_kernel(
    rows_ptr, index_ptr, scale_ptr, addend_ptr, addend_index_ptr, addend_scale_ptr, out_ptr,
    stride_rows_n, stride_scale_n, stride_addend_n, stride_addend_d, stride_out_n, num_addends, D,
    HAS_INDEX: tl.constexpr, HAS_SCALE: tl.constexpr,
    HAS_ADDEND: tl.constexpr, HAS_ADDEND_INDEX: tl.constexpr, HAS_ADDEND_SCALE: tl.constexpr, BLOCK_D: tl.constexpr,
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
        row = row * tl.load(scale_ptr + i_n * stride_scale_n)
    if HAS_ADDEND:
        other, width = i_n, D
        if HAS_ADDEND_INDEX:
            other = tl.load(addend_index_ptr + i_n)
            width = tl.where((other >= 0) & (other < num_addends), D, 0)
        p_addend = addend_ptr + other * stride_addend_n + offs_d.to(tl.int64) * stride_addend_d
        addend = tl.load(p_addend, mask=offs_d < width, other=0.0).to(tl.float32)
        if HAS_ADDEND_SCALE:
            addend = addend * tl.load(addend_scale_ptr + i_n)
        row = row + addend
    tl.store(out_ptr + i_n * stride_out_n + offs_d, round_to(row, out_ptr.dtype.element_ty), mask=offs_d < D)


class Addend(NamedTuple):
    """What `copy_rows` adds to row i: scale[i] * rows[row_index[i]]; nothing where that index is outside of `rows`."""

    rows: Tensor  # (K, D), any strides
    row_index: Tensor | None = None  # (M,) int64; None for 0, 1, 2, ...
    scale: Tensor | None = None  # (M,) float32; None for 1


def copy_rows(
    rows: Tensor,  # (N, D)
    out: Tensor,  # (M, D), any floating dtype
    *,
    index: Tensor | None = None,  # (M,) int64, -1 for a row of zeros; None for 0, 1, 2, ...
    scale: Tensor | None = None,  # (M,) float32, or 0-d for all rows
    addend: Addend | None = None,
) -> Tensor:
    """Write out[i] = scale[i] * rows[index[i]] + addend, computed in float32 and rounded once."""
    num_rows, width = out.shape
    if rows.stride(-1) != 1:
        rows = rows.contiguous()
    added, added_index, added_scale = addend or (None, None, None)
    num_added, stride_added = (0, (0, 1)) if added is None else (added.shape[0], added.stride())
    if num_rows:
        _copy_rows_kernel[(num_rows, triton.cdiv(width, COPY_ROWS.blocks["BLOCK_D"]))](
            rows, index, scale, added, added_index, added_scale, out,
            rows.stride(0), 0 if scale is None or scale.ndim == 0 else scale.stride(0),
            *stride_added, out.stride(0), num_added, width,
            HAS_INDEX=index is not None, HAS_SCALE=scale is not None, HAS_ADDEND=added is not None,
            HAS_ADDEND_INDEX=added_index is not None, HAS_ADDEND_SCALE=added_scale is not None,
            **COPY_ROWS.options,
        )  # fmt: skip
    return out


def take_rows(rows: Tensor, index: Tensor) -> Tensor:
    """rows[index]: (N, D), (M,) -> (M, D)."""
    return copy_rows(rows, rows.new_empty((index.shape[0], rows.shape[1])), index=index)


def spread_rows(
    rows: Tensor, index: Tensor, num_rows: int, *, scale: Tensor | None = None, dtype: torch.dtype | None = None
) -> Tensor:
    """(M, D), (M,) -> (num_rows, D): out[index[i]] = scale * rows[i], zeros elsewhere; `scale` is 0-d."""
    position = index.new_full((num_rows,), -1)
    position[index] = torch.arange(index.shape[0], device=index.device)
    scale = None if scale is None else scale.expand(num_rows).contiguous()
    return copy_rows(rows, rows.new_empty((num_rows, rows.shape[1]), dtype=dtype), index=position, scale=scale)
