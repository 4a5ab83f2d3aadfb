from __future__ import annotations

import pytest
import torch

from lift_kernels.kernels.rows import copy_rows, spread_rows, take_rows

DTYPES = (torch.float32, torch.bfloat16, torch.float16)


@pytest.mark.parametrize("width", [5, 1024, 1100])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_take_and_spread_undo_each_other_bit_for_bit(dtype, width, kernel_device, poison_new_tensors):
    rows = torch.randn(9, width, device=kernel_device).to(dtype)
    index = torch.tensor([0, 2, 3, 7, 8], device=kernel_device)
    taken = take_rows(rows, index)
    assert torch.equal(taken, rows[index])
    spread = spread_rows(taken, index, 9)
    expected = torch.zeros_like(rows)
    expected[index] = rows[index]
    assert torch.equal(spread, expected)


@pytest.mark.parametrize("indices", [[], [4]], ids=str)
def test_few_rows(indices, kernel_device, poison_new_tensors):
    index = torch.tensor(indices, dtype=torch.int64, device=kernel_device)
    rows = torch.randn(6, 8, device=kernel_device)
    taken = take_rows(rows, index)
    assert torch.equal(taken, rows[index])
    assert torch.equal(spread_rows(taken, index, 6).sum(0), taken.sum(0))


def test_rows_far_apart_or_not_contiguous(kernel_device):
    rows = torch.randn(8, 40, device=kernel_device)
    index = torch.tensor([5, 1], device=kernel_device)
    for view in (rows[:, 3:20], rows.T.contiguous().T, rows[::2]):
        assert torch.equal(take_rows(view, index % len(view)), view[index % len(view)])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_scale_is_applied_in_float32_and_rounded_once(dtype, kernel_device):
    rows = torch.randn(50, 64, device=kernel_device)
    scale = torch.randn(50, device=kernel_device)
    out = copy_rows(rows, torch.empty(50, 64, dtype=dtype, device=kernel_device), scale=scale)
    assert torch.equal(out, (rows * scale[:, None]).to(dtype))
