"""Noise inside the kernel has the bits of `philox.gumbel_noise`."""

from __future__ import annotations

import pytest
import torch
import triton
import triton.language as tl

from lift_kernels.kernels.sample_rows import gumbel_noise
from lift_kernels.philox import entry_words
from lift_kernels.philox import gumbel_noise as noise_of_words


@triton.jit(do_not_specialize=["seed"])
def _noise_kernel(out_ptr, position_ptr, seed: tl.int64, row_low, row_high, first_group, BLOCK: tl.constexpr):
    groups = first_group + tl.arange(0, BLOCK // 4)
    position = tl.load(position_ptr).to(tl.uint32)
    noise = gumbel_noise(seed, position, row_low.to(tl.uint32), row_high.to(tl.uint32), groups, [BLOCK])
    tl.store(out_ptr + tl.arange(0, BLOCK), noise)


@pytest.mark.parametrize("seed", [0, 5, 2**63 - 1])
@pytest.mark.parametrize(("row", "position", "first_group"), [(0, 0, 0), (2**40 + 3, 2**32 - 1, 31615), (7, 12, 5)])
def test_noise_has_the_bits_of_the_definition(seed, row, position, first_group):
    out = torch.empty(8192)
    _noise_kernel[(1,)](out, torch.tensor(position), seed, row & 0xFFFFFFFF, row >> 32, first_group, BLOCK=8192)
    groups = torch.arange(first_group, first_group + 2048)
    words = entry_words(seed, torch.tensor(row), torch.tensor(position), groups).flatten()
    assert torch.equal(out, noise_of_words(words))
