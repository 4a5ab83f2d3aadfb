"""Matrix products of half-precision operands whose result is accumulated and returned in float32.

`torch.mm` on bfloat16 rounds its result to bfloat16: at a logit of 20 that is an error of up to 0.06 nats. CUDA has
`out_dtype=` for this. Elsewhere the (exactly representable) operands are widened and multiplied in float32. What
`torch.backends.mkldnn.matmul.fp32_precision` could gain on a CPU with AMX is left alone: it is the whole process',
and a float32 product of another thread would be rounded by it meanwhile.
"""

from __future__ import annotations

import platform
from functools import cache

import torch
from torch import Tensor

from lift_kernels.linear_head import gradient_dtype


class LogitProduct:
    """`w_rows @ x.T` in float32 (float64 for float64) for one fixed x (N, D) and many blocks of rows of the head.

    The rows of the head are the left operand: oneDNN takes an eighth less time than for the transposed product.
    """

    def __init__(self, x: Tensor) -> None:
        self.has_out_dtype = has_out_dtype(x)
        self.by_onednn = x.device.type == "cpu" and x.dtype == torch.bfloat16 and x.numel() > 0 and _has_avx512_bf16()
        wide = x if self.has_out_dtype or x.dtype == torch.float64 else x.float()
        self.x = wide if self.by_onednn else wide.t()

    def __call__(self, w_rows: Tensor, out: Tensor) -> Tensor:  # (K, D) of `left_operand`, (K, N) -> out, or a new one
        if self.has_out_dtype:
            return torch.mm(w_rows, self.x, out_dtype=torch.float32, out=out)
        if self.by_onednn:  # torch.mm would take MKL, which knows no AVX-512 on AMD's processors
            return torch.ops.mkldnn._linear_pointwise(w_rows, self.x, None, "none", [], "")
        return torch.mm(w_rows, self.x, out=out)


class HeadRows:
    """Blocks of rows of the head (V, D) as the products read them; widened copies share one buffer of a block."""

    def __init__(self, weight: Tensor, num_rows: int) -> None:
        self.weight = weight
        self.operand_dtype = operand_dtype(weight)
        widens = weight.dtype in (torch.bfloat16, torch.float16) and not (
            has_out_dtype(weight) and self.operand_dtype == weight.dtype
        )
        self.buffer = weight.new_empty((num_rows, weight.shape[1]), dtype=torch.float32) if widens else None
        self.widens_logits = widens and not has_out_dtype(weight)

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
    is_slow = dtype == torch.bfloat16 and tensor.device.type == "cpu" and not _has_avx512_bf16()
    return torch.float32 if is_slow else dtype


def add_product(total: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """total += a @ b in place: (N, D), (N, K), (K, D); the product is rounded to its operands' dtype first."""
    return total.addmm_(a, b) if a.dtype == total.dtype else total.add_(torch.mm(a, b))


def has_out_dtype(tensor: Tensor) -> bool:
    """Whether `torch.mm` can return float32 for such operands: on CUDA it can, on ROCm it may not."""
    is_half = tensor.dtype in (torch.bfloat16, torch.float16)
    return is_half and tensor.device.type == "cuda" and torch.version.hip is None


@cache
def _has_avx512_bf16() -> bool:
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    is_x86 = platform.machine() in ("x86_64", "AMD64")
    return bool(is_x86 and supported and torch.backends.mkldnn.is_available() and supported())
