"""MKL's product of bfloat16 matrices with a float32 result, on processors by Intel that multiply bfloat16.

`torch.mm` has no such product on a CPU, and `torch.backends.mkldnn.matmul.fp32_precision` is no way to one: it is the
whole process', and float32 products of other threads would be rounded meanwhile. The library that torch brings exports
MKL's C function, which depends on its arguments alone ("cblas_gemm_bf16bf16f32", oneMKL developer reference for C).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from lift_kernels.fallback.processor import has_avx512_bf16, is_by_intel
from lift_kernels.fallback.torch_library import exported

_ROW_MAJOR, _NO_TRANSPOSE, _TRANSPOSE = 101, 111, 112  # of CBLAS


def is_available() -> bool:
    """Whether this processor and this torch have the product."""
    return _gemm() is not None


def multiply(a: Tensor, b: Tensor, out: Tensor, *, accumulate: bool = False) -> Tensor:
    """out = a @ b, or out += a @ b, in float32 throughout.

    Args:
        a: (M, K) bfloat16, on the CPU.
        b: (K, N) bfloat16, on the CPU.
        out: (M, N) float32, on the CPU, whose rows, or columns, lie each in one piece.
        accumulate: add to what `out` holds.
    """
    if out.stride(1) != 1:
        assert out.stride(0) == 1
        multiply(b.t(), a.t(), out.t(), accumulate=accumulate)
        return out
    gemm = _gemm()
    assert gemm is not None
    (a, lead_a, transpose_a), (b, lead_b, transpose_b) = _operand(a), _operand(b)
    rows, columns = out.shape
    if out.numel():
        gemm(
            _ROW_MAJOR, transpose_a, transpose_b, rows, columns, a.shape[1], 1.0, a.data_ptr(), lead_a, b.data_ptr(),
            lead_b, float(accumulate), out.data_ptr(), max(out.stride(0), columns),
        )  # fmt: skip
    return out


def _operand(matrix: Tensor) -> tuple[Tensor, int, int]:
    """Return a matrix in one of the two orders that MKL reads, the distance of its rows or columns, and which it is."""
    if matrix.stride(1) == 1 and matrix.stride(0) >= matrix.shape[1]:
        return matrix, matrix.stride(0), _NO_TRANSPOSE
    if matrix.stride(0) == 1 and matrix.stride(1) >= matrix.shape[0]:
        return matrix, matrix.stride(1), _TRANSPOSE
    return matrix.contiguous(), max(matrix.shape[1], 1), _NO_TRANSPOSE


@cache
def _gemm() -> Callable[..., None] | None:
    if not (has_avx512_bf16() and is_by_intel() and torch.backends.mkl.is_available()):
        return None
    integer, number, pointer = ctypes.c_int, ctypes.c_float, ctypes.c_void_p
    return exported("cblas_gemm_bf16bf16f32", [
        *[integer] * 6, number, pointer, integer, pointer, integer, number, pointer, integer,
    ])  # fmt: skip
