"""Matrix products of half-precision operands whose result is accumulated and returned in float32.

`torch.mm` on bfloat16 rounds its result to bfloat16: at a logit of 20 that is an error of up to 0.06 nats. CUDA has
`out_dtype=` for this, and processors that multiply bfloat16 have functions of MKL's and oneDNN's (`mkl`, `brgemm`).
Elsewhere the (exactly representable) operands are widened and multiplied in float32.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lift_kernels.fallback import brgemm, mkl
from lift_kernels.fallback.processor import has_avx512_bf16
from lift_kernels.linear_head import gradient_dtype, statistics_dtype


class LogitProduct:
    """`w_rows @ x.T` in float32 (float64 for float64) for one fixed x (N, D) and many blocks of rows of the head.

    The rows of the head are the left operand: oneDNN takes an eighth less time than for the transposed product.
    """

    def __init__(self, x: Tensor) -> None:
        self.num_rows = x.shape[0]
        self.packed = brgemm.Packed.of(x) if _is_for_brgemm(x) else None
        self.row_distance = self.num_rows if self.packed is None else brgemm.row_distance(self.num_rows)
        if self.packed is not None:
            return
        self.has_out_dtype, self.by_mkl = has_out_dtype(x), _is_for_mkl(x)
        self.by_onednn = _is_bfloat16_on_cpu(x) and x.numel() > 0 and has_avx512_bf16() and not self.by_mkl
        wide = x if self.has_out_dtype or self.by_mkl or x.dtype == torch.float64 else x.float()
        self.x = wide if self.by_onednn else wide.t()

    def __call__(self, w_rows: Tensor, buffer: Tensor) -> Tensor:
        """Return the product (K, N) with rows (K, D) of `HeadRows`, in the memory of `buffer` or new.

        `buffer` is flat, of at least K * `row_distance` elements.
        """
        num_columns = w_rows.shape[0]
        out = buffer[: num_columns * self.row_distance].view(num_columns, self.row_distance)[:, : self.num_rows]
        if self.packed is not None:
            return brgemm.multiply(w_rows, self.packed, out)
        if self.has_out_dtype:
            return torch.mm(w_rows, self.x, out_dtype=torch.float32, out=out)
        if self.by_mkl:
            return mkl.multiply(w_rows, self.x, out)
        if self.by_onednn:  # torch.mm would take MKL, which knows no AVX-512 on AMD's processors
            return torch.ops.mkldnn._linear_pointwise(w_rows, self.x, None, "none", [], "")
        return torch.mm(w_rows, self.x, out=out)


class HeadRows:
    """Blocks of rows of the head (V, D) as the products read them; widened copies share one buffer of a block."""

    def __init__(self, weight: Tensor, num_rows: int) -> None:
        self.weight = weight
        self.operand_dtype = operand_dtype(weight)
        needs_none = has_out_dtype(weight) or _is_for_mkl(weight) or _is_for_brgemm(weight)
        widens = weight.dtype in (torch.bfloat16, torch.float16) and not (
            needs_none and self.operand_dtype == weight.dtype
        )
        self.buffer = weight.new_empty((num_rows, weight.shape[1]), dtype=torch.float32) if widens else None
        self.widens_logits = widens and not needs_none

    def __getitem__(self, rows: slice) -> tuple[Tensor, Tensor]:
        """Return W[rows] (K, D) for the product of the logits, and for that of the hidden states' gradient."""
        given = self.weight[rows]
        if self.buffer is None:
            return given, given
        wide = self.buffer[: given.shape[0]].copy_(given)
        return wide if self.widens_logits else given, given if self.operand_dtype == given.dtype else wide


def operand_dtype(tensor: Tensor) -> torch.dtype:
    """The dtype in which the gradients' products of such tensors are multiplied.

    bfloat16 where a processor has instructions for it: without them oneDNN emulates it, and float32 takes less time.
    """
    dtype = gradient_dtype(tensor.dtype)
    is_slow = dtype == torch.bfloat16 and tensor.device.type == "cpu" and not has_avx512_bf16()
    return torch.float32 if is_slow else dtype


def zero_sums(x: Tensor) -> Tensor:
    """Return zeros (N, D) for x (N, D), in the statistics dtype, that `add_product` adds to in the least time."""
    dtype = statistics_dtype(x.dtype)
    # MKL takes a fifth more time where the other operand, exponentials by column, is the one to be transposed.
    return x.new_zeros(x.shape[::-1], dtype=dtype).t() if _is_for_mkl(x) else x.new_zeros(x.shape, dtype=dtype)


def add_product(total: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """total += a @ b in place: (N, D), (N, K), (K, D); the product may be rounded to its operands' dtype first."""
    if total.dtype == torch.float32 and _is_for_mkl(a):
        return mkl.multiply(a, b, total, accumulate=True)
    return total.addmm_(a, b) if a.dtype == total.dtype else total.add_(torch.mm(a, b))


def has_out_dtype(tensor: Tensor) -> bool:
    """Whether `torch.mm` can return float32 for such operands: on CUDA it can, on ROCm it may not."""
    is_half = tensor.dtype in (torch.bfloat16, torch.float16)
    return is_half and tensor.device.type == "cuda" and torch.version.hip is None


def _is_for_mkl(tensor: Tensor) -> bool:
    return _is_bfloat16_on_cpu(tensor) and mkl.is_available()


def _is_for_brgemm(tensor: Tensor) -> bool:  # (..., D)
    width = tensor.shape[-1]
    is_fit = _is_bfloat16_on_cpu(tensor) and width > 0 and width % 2 == 0
    return is_fit and not mkl.is_available() and brgemm.is_available()


def _is_bfloat16_on_cpu(tensor: Tensor) -> bool:
    return tensor.dtype == torch.bfloat16 and tensor.device.type == "cpu"
