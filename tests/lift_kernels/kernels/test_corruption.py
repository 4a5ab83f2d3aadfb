"""The Triton kernel of `corrupt_tokens`: bit-equal to the PyTorch backend, and compiled once for all seeds."""

from __future__ import annotations

import pytest
import torch
import triton
import triton.language as tl
from hypothesis import given, settings
from hypothesis import strategies as st
from triton.backends.compiler import BaseBackend
from triton.runtime.jit import JITFunction, create_function_from_signature

from lift_kernels import philox
from lift_kernels.fallback import corruption as fallback
from lift_kernels.kernels import corruption, selection

MASK = 99
SEEDS = (0, 1, 16, 2**31, 2**32 + 5, 2**63 - 1)
ROW_IDS = (0, 1, 2**31, 2**32 - 1, 2**40 + 7, 2**63 - 1, -1, -(2**33) - 5)

quickly = settings(deadline=None, derandomize=True, database=None, max_examples=60)


@triton.jit
def _random_words_kernel(
    words_ptr, row_ids_ptr, L, seed: tl.int64, STREAM: tl.constexpr, HAS_ROW_IDS: tl.constexpr, BLOCK_L: tl.constexpr
):
    i_b = tl.program_id(0).to(tl.int64)
    offs_l = tl.program_id(1) * BLOCK_L + tl.arange(0, BLOCK_L)
    word = corruption.random_words(seed, row_ids_ptr, i_b, offs_l, STREAM, HAS_ROW_IDS)
    tl.store(words_ptr + i_b * L + offs_l, word.to(tl.int64), mask=offs_l < L)


@pytest.mark.parametrize("stream", [philox.CORRUPT_STREAM, philox.SELECT_STREAM])
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("row_ids", [ROW_IDS, None], ids=["row ids", "row numbers"])
def test_words_are_those_of_torch(seed, stream, row_ids, kernel_device):
    row_ids = None if row_ids is None else torch.tensor(row_ids, device=kernel_device)
    words = torch.full((len(ROW_IDS), 19), -1, device=kernel_device)
    _random_words_kernel[(len(ROW_IDS), 3)](
        words, row_ids, 19, seed, STREAM=stream, HAS_ROW_IDS=row_ids is not None, BLOCK_L=8
    )
    ids = torch.arange(len(ROW_IDS)) if row_ids is None else row_ids.cpu()
    assert words.cpu().equal(philox.random_words(seed, ids, 19, stream))


def spaced(tensor):
    """The same values with a gap behind each one."""
    return torch.stack([tensor, torch.zeros_like(tensor)], -1)[..., 0]


@st.composite
def batches(draw):
    """(input_ids, mask_prob, maskable, row_ids, mask_token_id, seed), in every dtype and layout, around a block's length."""
    shape = draw(st.integers(1, 3)), draw(st.sampled_from([1, 9, 1023, 1024, 1025, 2500]))
    torch.manual_seed(draw(st.integers(0, 2**32)))
    layout = draw(st.sampled_from([torch.Tensor.contiguous, spaced]))
    integers = st.sampled_from([torch.int64, torch.int32])
    floating = st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.float16])

    input_ids = torch.randint(0, MASK, shape, dtype=draw(integers))
    mask_prob = torch.rand(draw(st.sampled_from([shape, shape[:1]]))).to(draw(floating))
    special = torch.tensor([0.0, 1.0, -0.5, 1e-40, torch.inf, torch.nan]).to(mask_prob.dtype)
    is_special = torch.rand(mask_prob.shape) < 0.2
    mask_prob = mask_prob.where(~is_special, special[torch.randint(len(special), mask_prob.shape)])
    maskable = layout(torch.rand(shape) < 0.7) if draw(st.booleans()) else None
    row_ids = None
    if draw(st.booleans()):
        dtype = draw(integers)
        row_ids = layout(torch.randint(torch.iinfo(dtype).min, torch.iinfo(dtype).max, shape[:1], dtype=dtype))
    return layout(input_ids), layout(mask_prob), maskable, row_ids, MASK, draw(st.integers(0, 2**63 - 1))


@quickly
@given(batches())
def test_equals_the_torch_backend(kernel_device, batch):
    *tensors, mask_token_id, seed = batch
    moved = [None if tensor is None else tensor.to(kernel_device) for tensor in tensors]
    result = corruption.corrupt_tokens(*moved, mask_token_id, seed)
    for mine, expected in zip(result, fallback.corrupt_tokens(*tensors, mask_token_id, seed), strict=True):
        assert mine.dtype == expected.dtype and mine.is_contiguous()
        assert mine.cpu().equal(expected)


@pytest.mark.parametrize("shape", [(0, 5), (3, 0), (0, 0)], ids=str)
def test_empty_batches(shape, kernel_device):
    ids = torch.zeros(shape, dtype=torch.int32, device=kernel_device)
    corrupted_ids, is_masked = corruption.corrupt_tokens(ids, ids[:, :1].float().sum(-1), None, None, MASK, 0)
    assert corrupted_ids.shape == is_masked.shape == shape
    assert (corrupted_ids.dtype, is_masked.dtype) == (torch.int32, torch.bool)


def test_mask_token_ids_keep_all_bits(kernel_device):
    for dtype in (torch.int32, torch.int64):
        ids = torch.zeros(1, 4, dtype=dtype, device=kernel_device)
        largest = torch.iinfo(dtype).max
        corrupted, _ = corruption.corrupt_tokens(ids, torch.ones(1, device=kernel_device), None, None, largest, 0)
        assert corrupted.tolist() == [[largest] * 4]


@pytest.mark.parametrize("leftover", [0, 1])
def test_every_element_is_written(leftover, kernel_device, monkeypatch):
    """Whatever new memory held: of two contents one would show."""
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *args, **options: empty(*args, **options).fill_(leftover))
    ids, prob = torch.randint(2, MASK, (3, 1500)), torch.rand(3)
    result = corruption.corrupt_tokens(ids.to(kernel_device), prob.to(kernel_device), None, None, MASK, 4)
    assert all(map(torch.equal, (t.cpu() for t in result), fallback.corrupt_tokens(ids, prob, None, None, MASK, 4)))


@pytest.mark.parametrize("kernel", [corruption._corrupt_tokens_kernel, selection._select_tokens_kernel])
def test_one_compilation_serves_every_seed_length_and_mask_token(kernel):
    # Under the interpreter a kernel is not the function that a GPU would compile; that one has the same arguments.
    function = kernel if isinstance(kernel, JITFunction) else JITFunction(kernel.fn, **kernel.kwargs)
    lookup_key = create_function_from_signature(function.signature, function.params, BaseBackend)
    keys = []
    for number in SEEDS:
        values = {"seed": number, "mask_token_id": number, "L": number % (2**31 - 1)}
        _, key, _ = lookup_key(**{name: values.get(name) for name in function.signature.parameters})
        keys.append(dict(zip(function.signature.parameters, key, strict=True)))
    assert all(key == keys[0] for key in keys)
    assert keys[0]["seed"][0] == "i64"
