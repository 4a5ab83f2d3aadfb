"""Matrix products that accumulate in float32, whatever their operands."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

# What a product may take beside its operands and its result, where the device has no product that needs nothing.
SCRATCH_BYTES = 16 << 20

# Adding half-precision products to a float32 sum: 2.9 and older refuse such a sum.
_ADDS_TO_FLOAT32 = torch.__version__ >= "2.11"


def needs_scratch(dtype: torch.dtype, device: torch.device) -> bool:
    """Return whether `multiply` takes scratch memory for operands of `dtype` and a float32 result."""
    return dtype != torch.float32 and not (_has_out_dtype(device) and _ADDS_TO_FLOAT32)


def multiply(
    a: Tensor,  # (M, K)
    b: Tensor,  # (K, N) in the dtype of a
    out: Tensor,  # (M, N) float32, or in the dtype of a
    *,
    accumulate: bool = False,
    scratch_bytes: int = SCRATCH_BYTES,
) -> None:
    """out = a @ b, or out += a @ b; float32 operands follow torch's precision setting for matrix products.

    A result in bfloat16 is rounded once, whatever torch's setting for reductions of reduced precision allows.
    """
    if a.device.type == "cpu":
        a = a.contiguous()  # oneDNN with AMX multiplies what lies behind a's rows by 0, and it may be nan
    if a.dtype == out.dtype == torch.bfloat16:
        with whole_reductions():
            torch.addmm(out, a, b, out=out) if accumulate else torch.mm(a, b, out=out)
    elif a.dtype == out.dtype:
        torch.addmm(out, a, b, out=out) if accumulate else torch.mm(a, b, out=out)
    elif not _has_out_dtype(out.device):
        _multiply_widened(a, b, out, accumulate, scratch_bytes)
    elif not accumulate:
        torch.mm(a, b, out_dtype=torch.float32, out=out)
    elif _ADDS_TO_FLOAT32:
        torch.addmm(out, a, b, out_dtype=torch.float32, out=out)
    else:
        _add_row_strips(a, b, out, scratch_bytes)


class ProductSum:
    """Sums of products, in float32, each rounded once into its rows of `result` (M, N)."""

    def __init__(self, result: Tensor, num_rows: int, scratch_bytes: int) -> None:
        """`num_rows` of the result are summed at a time; 0 where no sum has a second term."""
        self.result, self.scratch_bytes, self.buffer = result, scratch_bytes, None
        if num_rows > 0 and result.dtype != torch.float32:
            self.buffer = result.new_empty((num_rows, result.shape[1]), dtype=torch.float32)

    def add(self, rows: slice, a: Tensor, b: Tensor, *, is_first: bool, is_last: bool) -> None:
        total = self.result[rows]
        if self.buffer is not None:
            start = rows.start % self.buffer.shape[0]
            total = self.buffer[start : start + rows.stop - rows.start]
        multiply(a, b, total, accumulate=not is_first, scratch_bytes=self.scratch_bytes)
        if is_last and self.buffer is not None:
            self.result[rows] = total


# How many products keep torch's setting off, and what it was before the first of them.
_lock, _depth = threading.Lock(), 0
_before: bool | tuple[bool, bool] = True


@contextmanager
def whole_reductions() -> Iterator[None]:
    """Keep cuBLAS from adding the parts of a bfloat16 result in bfloat16, as it may where it splits the sums.

    Torch's setting is the process's: it is off while any thread is in here, and as it was once the last one is out.
    """
    global _depth, _before
    matmul = torch.backends.cuda.matmul
    with _lock:
        if _depth == 0:
            _before = _reduction_setting()
            matmul.allow_bf16_reduced_precision_reduction = False
        _depth += 1
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if _depth == 0:
                matmul.allow_bf16_reduced_precision_reduction = _before


def _reduction_setting() -> bool | tuple[bool, bool]:
    """What `allow_bf16_reduced_precision_reduction` has to be set to for torch's setting to be as it is now."""
    matmul = torch.backends.cuda.matmul
    allows_split = getattr(matmul, "allow_bf16_reduced_precision_reduction_split_k", None)
    allows_rounding = matmul.allow_bf16_reduced_precision_reduction
    return allows_rounding if allows_split is None else (allows_rounding, allows_split)


def dot_precision(dtype: torch.dtype) -> str:
    """`input_precision` of the dots inside kernels: for float32 what torch uses in its own products."""
    if dtype != torch.float32 or torch.version.hip is not None:
        return "ieee"
    matmul = torch.backends.cuda.matmul
    # The older setting raises when read in a program that has set the newer one, which came with torch 2.9.
    newer = getattr(matmul, "fp32_precision", None)
    return "tf32" if newer == "tf32" or (newer is None and matmul.allow_tf32) else "ieee"


def _has_out_dtype(device: torch.device) -> bool:
    return device.type == "cuda" and torch.version.hip is None


def _multiply_widened(a: Tensor, b: Tensor, out: Tensor, accumulate: bool, scratch_bytes: int) -> None:
    """Float32 copies of the operands, a strip of the K terms at a time."""
    step = max(1, scratch_bytes // (4 * (a.shape[0] + b.shape[1])))
    for start in range(0, max(1, a.shape[1]), step):  # a sum of no terms is 0
        terms = slice(start, start + step)
        multiply(a[:, terms].float(), b[terms].float(), out, accumulate=accumulate or start > 0)


def _add_row_strips(a: Tensor, b: Tensor, out: Tensor, scratch_bytes: int) -> None:
    step = max(1, scratch_bytes // (4 * out.shape[1]))
    for start in range(0, out.shape[0], step):
        rows = slice(start, start + step)
        out[rows] += torch.mm(a[rows], b, out_dtype=torch.float32)
