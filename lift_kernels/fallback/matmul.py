"""Matrix products of half-precision operands whose result is accumulated and returned in float32.

`torch.mm` on bfloat16 rounds its result to bfloat16: at a logit of 20 that is an error of up to 0.06 nats. CUDA has
`out_dtype=` for this. On a CPU the same is had by handing oneDNN float32 copies of the (exactly representable)
operands and allowing it to multiply in bfloat16: the products are the same, the sum stays in float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


class LogitProduct:
    """`x @ w_rows.T` in float32 (float64 for float64) for one fixed x (N, D) and many blocks of rows of the head.

    Holds a float32 copy of x, and one of the current block of the head, only where the device cannot do without.
    """

    def __init__(self, x: Tensor) -> None:
        self.native = x.dtype in (torch.float32, torch.float64)
        self.has_out_dtype = not self.native and x.device.type == "cuda"
        self.allow_bf16 = x.dtype == torch.bfloat16 and x.device.type == "cpu"
        self.x = x if self.native or self.has_out_dtype else x.float()  # (N, D)

    def __call__(self, w_rows: Tensor, out: Tensor) -> Tensor:  # (K, D), (N, K) -> out
        if self.has_out_dtype:
            return torch.mm(self.x, w_rows.t(), out_dtype=torch.float32, out=out)
        with _bf16_products(self.allow_bf16):
            return torch.mm(self.x, w_rows.to(self.x.dtype).t(), out=out)


@contextmanager
def _bf16_products(allowed: bool) -> Iterator[None]:
    precision = getattr(torch.backends.mkldnn, "matmul", None)  # absent before torch 2.9: full float32 then
    if not allowed or precision is None:
        yield
        return
    before = precision.fp32_precision
    precision.fp32_precision = "bf16"
    try:
        yield
    finally:
        precision.fp32_precision = before
