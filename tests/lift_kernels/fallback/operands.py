"""Matrices as the fallback hands them to its products."""

from __future__ import annotations

import torch

LAYOUTS = ("whole", "transposed", "part", "strided")


def operand(rows: int, columns: int, layout: str = "whole") -> torch.Tensor:
    """Random bfloat16 (rows, columns): whole, transposed, a part of a wider one full of nan, every second column."""
    if layout == "transposed":
        return torch.randn(columns, rows).bfloat16().t()
    if layout == "part":
        whole = torch.full((rows + 3, columns + 5), torch.nan).bfloat16()
        return whole[2 : rows + 2, 1 : columns + 1].copy_(torch.randn(rows, columns))
    if layout == "strided":
        return torch.randn(rows, 2 * columns).bfloat16()[:, ::2]
    return torch.randn(rows, columns).bfloat16()
