"""Draw words with Triton's own Philox, to OUT: {(seed, stream): (B, L) int64}.

A program of its own, `triton_philox.py OUT`, as TRITON_INTERPRET must be set before triton is imported.
"""

from __future__ import annotations

import sys

import torch

SEEDS = (0, 1, 2**31, 2**32 + 5, 2**63 - 1)
STREAMS = (0, 1)
ROW_IDS = (0, 1, 2**31, 2**32 - 1, 2**40 + 7, -1, -(2**33) - 5)
LENGTH = 19


def main(out: str) -> None:
    import triton
    import triton.language as tl

    @triton.jit
    def _random_words_kernel(words_ptr, row_ids_ptr, seed, stream, L, BLOCK_L: tl.constexpr):
        b = tl.program_id(0)
        offs_l = tl.program_id(1) * BLOCK_L + tl.arange(0, BLOCK_L)
        row_id = tl.load(row_ids_ptr + b)
        low, high = (row_id & 0xFFFFFFFF).to(tl.uint32), ((row_id >> 32) & 0xFFFFFFFF).to(tl.uint32)
        word, _, _, _ = tl.philox(seed, offs_l.to(tl.uint32), low, high, stream)
        tl.store(words_ptr + b * L + offs_l, word.to(tl.int64), mask=offs_l < L)

    row_ids = torch.tensor(ROW_IDS)
    drawn = {}
    for seed in SEEDS:
        for stream in STREAMS:
            words = torch.full((len(ROW_IDS), LENGTH), -1)
            grid = (len(ROW_IDS), triton.cdiv(LENGTH, 8))
            _random_words_kernel[grid](words, row_ids, seed, stream, LENGTH, BLOCK_L=8)
            drawn[seed, stream] = words
    torch.save(drawn, out)


if __name__ == "__main__":
    main(sys.argv[1])
