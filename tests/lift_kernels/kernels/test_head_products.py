from __future__ import annotations

import pytest
import torch

from lift_kernels.kernels import products
from lift_kernels.kernels.head_products import HeadWeight, clear_padding, last_rows_part, weight_product
from lift_kernels.kernels.plan import column_pieces, even_columns, row_stride

SIZES = [40, 255, 257, 331]


def head_weight(weight: torch.Tensor) -> HeadWeight:
    part = last_rows_part(weight)
    return HeadWeight(weight, None if part is None else weight.new_full(part.shape, torch.nan))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("num_columns", SIZES)
def test_all_products_of_a_head_of_any_size(num_columns, dtype, kernel_device):
    weight = torch.randn(num_columns, 9, device=kernel_device).to(dtype)
    rows = torch.randn(5, 9, device=kernel_device).to(dtype)
    exponentials = torch.full((5, row_stride(num_columns)), torch.nan, dtype=dtype, device=kernel_device)
    exponentials[:, :num_columns] = torch.rand(5, num_columns, device=kernel_device)
    clear_padding(exponentials, num_columns)
    head, buffer = head_weight(weight), torch.empty(5 * 512, device=kernel_device)
    wide_rows, wide_weight, wide = rows.double(), weight.double(), exponentials[:, :num_columns].double()

    def close(ours, true, rtol=1e-5):
        torch.testing.assert_close(ours.double(), true, rtol=rtol, atol=3e-5)

    for columns in column_pieces(num_columns, 100):
        close(head.products(rows, columns, buffer), wide_rows @ wide_weight[columns].T)
    out = torch.full((5, 9), torch.nan, device=kernel_device)
    head.hidden_product(exponentials, out)
    close(out, wide @ wide_weight)
    for out_dtype in (torch.float32, dtype):
        rounding = torch.finfo(out_dtype).eps
        out = torch.full((num_columns, 9), torch.nan, dtype=out_dtype, device=kernel_device)
        weight_product(exponentials, rows, out)
        close(out, wide.T @ wide_rows, 1e-5 + rounding)
    total = torch.ones(num_columns, 9, device=kernel_device)
    weight_product(exponentials, rows, total, accumulate=True)
    close(total, 1 + wide.T @ wide_rows)


@pytest.mark.parametrize("num_columns", [50257, 126349])
def test_an_odd_vocabulary_keeps_every_product_on_aligned_kernels(num_columns, monkeypatch):
    """cuBLAS takes vector loads where extents, strides and starts are multiples of 16 bytes."""
    shapes = []
    monkeypatch.setattr(products, "multiply", lambda a, b, out, **_: shapes.append((a, b, out)))
    monkeypatch.setattr("lift_kernels.kernels.head_products.copy_rows", lambda *a, **k: None)
    weight = torch.empty(num_columns, 768, dtype=torch.bfloat16, device="meta")
    exponentials = torch.empty(64, row_stride(num_columns), dtype=torch.bfloat16, device="meta")
    rows, head = torch.empty(64, 768, dtype=torch.bfloat16, device="meta"), head_weight(weight)
    for columns in column_pieces(num_columns, 8192):
        head.products(rows, columns, torch.empty(64 * 8192, device="meta"))
    head.hidden_product(exponentials, torch.empty(64, 768, device="meta"))
    weight_product(exponentials, rows, torch.empty_like(weight))
    for tensor in (tensor for operands in shapes for tensor in operands):
        numbers = (*tensor.shape, max(tensor.stride()), tensor.storage_offset())
        assert all(number * tensor.element_size() % 16 == 0 for number in numbers), numbers
    assert sum(out.shape[1] for a, _, out in shapes[:-4] if a.shape[0] == 64) >= num_columns


def test_what_is_even_or_small_is_not_split():
    assert all(even_columns(n) == n for n in (126464, 152064, 50368, 200, 255))
    assert (even_columns(50257), even_columns(126349), even_columns(257)) == (50240, 126336, 256)
