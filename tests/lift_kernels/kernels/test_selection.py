"""The Triton kernel of `select_tokens`: bit-equal to the PyTorch backend."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lift_kernels.fallback import selection as fallback
from lift_kernels.kernels import launch_configs, selection
from lift_kernels.kernels.launch_configs import ARCHITECTURES

FLOATING = [torch.float32, torch.float64, torch.bfloat16, torch.float16]

quickly = settings(deadline=None, derandomize=True, database=None, max_examples=60)


def assert_equals_the_torch_backend(device, *tensors, seed=None, row_ids=None):
    moved = [tensor.to(device) for tensor in tensors]
    is_kept = selection.select_tokens(*moved, seed, None if row_ids is None else row_ids.to(device))
    assert is_kept.dtype == torch.bool and is_kept.is_contiguous()
    assert is_kept.cpu().equal(fallback.select_tokens(*tensors, seed, row_ids))


def spaced(tensor):
    """The same values with a gap behind each one."""
    return torch.stack([tensor, torch.zeros_like(tensor)], -1)[..., 0]


@st.composite
def batches(draw):
    """(score, is_masked, num_keep, order, row_ids), in every dtype and layout, around a block's length."""
    rows, length = draw(st.integers(1, 3)), draw(st.sampled_from([1, 9, 511, 512, 513]))
    torch.manual_seed(draw(st.integers(0, 2**32)))
    layout = draw(st.sampled_from([torch.Tensor.contiguous, spaced]))
    integer = draw(st.sampled_from([torch.int64, torch.int32]))
    # Few values, so that ties are the rule.
    values = torch.tensor([-torch.inf, -2.0, -0.0, 0.0, 1.0, 1e-40, torch.inf, torch.nan, -torch.nan])
    score = values[torch.randint(len(values), (rows, length))].to(draw(st.sampled_from(FLOATING)))
    is_masked = torch.rand(rows, length) < draw(st.sampled_from([0.1, 0.7, 1.0]))
    num_keep = (torch.rand(rows) * (is_masked.sum(-1) + 1)).to(integer)
    order = torch.randint(-1, 2, (rows,), dtype=integer)
    least, most = torch.iinfo(integer).min, torch.iinfo(integer).max
    row_ids = layout(torch.randint(least, most, (rows,), dtype=integer)) if draw(st.booleans()) else None
    return layout(score), layout(is_masked), layout(num_keep), layout(order), row_ids


@quickly
@given(batches(), st.integers(0, 2**63 - 1))
def test_equals_the_torch_backend(kernel_device, batch, seed):
    *tensors, row_ids = batch
    assert_equals_the_torch_backend(kernel_device, *tensors, seed=seed, row_ids=row_ids)


def test_a_seed_is_not_needed_without_random_rows(kernel_device):
    order = torch.tensor([1, -1])
    assert_equals_the_torch_backend(kernel_device, torch.randn(2, 9), torch.ones(2, 9) > 0, torch.tensor([3, 4]), order)


@pytest.mark.parametrize("shape", [(0, 5), (3, 0), (0, 0)], ids=str)
def test_empty_batches(shape, kernel_device):
    num_keep, order = torch.zeros(2, shape[0]).long()
    assert_equals_the_torch_backend(kernel_device, torch.ones(shape), torch.ones(shape) > 0, num_keep, order, seed=0)


def test_num_keep_is_clamped_and_order_taken_by_its_sign(kernel_device):
    # As 32 bits, the last five would be 0, 0, 1, 2 and 0.
    num_keep = torch.tensor([4, 5, 9, -1, 2**40, 2**63 - 1, 2**32 + 1, -(2**32) + 2, -(2**63)])
    score, is_masked = torch.randn(9, 8), torch.arange(8).expand(9, 8) < 5
    for order in (1, -1, 7, -7, 2**40, -(2**40)):
        order = torch.full((9,), order)
        assert_equals_the_torch_backend(kernel_device, score, is_masked, num_keep, order)


@pytest.mark.parametrize("dtype", FLOATING, ids=str)
@pytest.mark.parametrize("order", [1, -1], ids=["easy", "hard"])
def test_zeros_of_either_sign_are_alike(dtype, order, kernel_device):
    score = torch.tensor([[-0.0, 0.0, -0.0, 0.0], [0.0, -0.0, 0.0, -0.0]], dtype=dtype, device=kernel_device)
    counts = torch.full((2,), 2, device=kernel_device)
    is_kept = selection.select_tokens(score, score == 0, counts, torch.full_like(counts, order), None, None)
    assert is_kept.tolist() == [[True, True, False, False]] * 2


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("order", [1, -1], ids=["easy", "hard"])
def test_orders_every_number_of_16_bits(dtype, order, kernel_device):
    """A row holds all of them: infinities, subnormals, both zeros and every nan."""
    bits = torch.arange(-(2**15), 2**15).to(torch.int16)
    score = torch.stack([bits[torch.randperm(2**16)] for _ in range(4)]).view(dtype)
    is_masked, num_keep = torch.rand(4, 2**16) < 0.9, torch.tensor([1, 2**15 + 9, 100, 200])
    is_masked[2:] = score[2:].abs() < 2 * torch.finfo(dtype).tiny  # half of these are subnormal
    assert_equals_the_torch_backend(kernel_device, score, is_masked, num_keep, torch.full((4,), order))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("order", [1, -1], ids=["easy", "hard"])
def test_orders_numbers_of_any_bits(dtype, order, kernel_device):
    size = torch.empty((), dtype=dtype).element_size()
    score = torch.randint(-128, 128, (5, 700 * size)).to(torch.int8).view(dtype)
    # Neighbours, which differ in the last bit only.
    score[:, 350:] = score[:, :350].nextafter(torch.tensor(torch.inf, dtype=dtype))
    num_keep = torch.tensor([1, 2, 175, 349, 500])
    assert_equals_the_torch_backend(kernel_device, score, torch.rand(5, 700) < 0.8, num_keep, torch.full((5,), order))


@pytest.mark.parametrize("length", [2**14, 2**15, 2**15 + 1])
def test_long_rows(length, kernel_device):
    score = torch.randint(0, 50, (3, length)).float()
    num_keep, order = torch.full((3,), length // 3), torch.tensor([1, 0, -1])
    assert_equals_the_torch_backend(kernel_device, score, torch.rand(3, length) < 0.8, num_keep, order, seed=7)


@pytest.mark.parametrize("leftover", [0, 1])
def test_every_element_is_written(leftover, kernel_device, monkeypatch):
    """Whatever new memory held: of two contents one would show."""
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *args, **options: empty(*args, **options).fill_(leftover))
    num_keep, order = torch.tensor([300, 0]), torch.tensor([1, -1])
    assert_equals_the_torch_backend(kernel_device, torch.rand(2, 1500), torch.rand(2, 1500) < 0.8, num_keep, order)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("length", [1, 512, 513, 4096, 2**15, 2**17])
def test_a_launch_holds_its_row_and_fits_one_program(architecture, length, monkeypatch):
    monkeypatch.setattr(launch_configs, "architecture", lambda device: architecture)
    launch = launch_configs.select_tokens_launch(length, torch.device("cpu"))
    assert launch.blocks["BLOCK_L"] >= length
    assert 1 <= launch.num_warps <= 1024 // (64 if architecture == "gfx942" else 32)
