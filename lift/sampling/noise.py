"""The draws of a sampler, each named by seed, row, position and step, so that no batch changes them.

The counter layout, in the words of `lift_kernels.philox`. A step has a key of its own,

    key' = word 0 (low) and the lower 31 bits of word 1 (high) of philox(key = seed; block, step, purpose, 0xFFFFFFFF)
    purpose: 0 = tokens, 1 = scores, 2 = moves, 3 = positions, 4 = ids

where `block` and `step` count from 0, the step within its block (modulo 2^32). A draw of the step is then

    philox(key = key'; position in the row, low and high 32 bits of the row id, c3)

with positions from 0 at a row's first token, wherever padding stands. For tokens c3 = 2 + entry // 4, and word
entry % 4 of the four is the draw of a vocabulary entry, as in `linear_sample` with key' as its seed; for the others
c3 = 2 and word 0. Uniforms and Gumbel noise of a word are those of `linear_sample` too.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from lift_kernels.philox import SAMPLE_STREAM, entry_words, gumbel_noise, open_uniforms, philox_4x32

TOKENS, SCORES, MOVES, POSITIONS, IDS = range(5)
_STEP_KEY = 0xFFFFFFFF
_LOW = 0xFFFFFFFF
_HIGH = 0x7FFFFFFF  # the seed of an op has 63 bits


class Noise(Protocol):
    """What the loop draws; a source may also replay recorded draws."""

    def begin(self, forward: int, block: int, step: int) -> None:
        """Name the step whose draws follow, and its forward, counted from 1."""

    def tokens(self, logits: Tensor, row: Tensor, column: Tensor) -> Tensor:
        """Draw from softmax(logits (n, V)) the tokens (n,) int64 of some positions."""

    def uniforms(self, purpose: int, row: Tensor, column: Tensor) -> Tensor:
        """Return uniforms (n,) of some positions, for `SCORES` or `MOVES`."""

    def weighted_order(self, log_weight: Tensor) -> Tensor:
        """Return keys (B, T) whose largest k are a draw of k columns without replacement, -inf off the candidates."""


class CounterNoise:
    """Draws of the counter-based generator.

    Args:
        seed: of all draws.
        row_ids: (B,) int64.
        first_column: (B,) int64, of each row's first token.
    """

    def __init__(self, seed: int, row_ids: Tensor, first_column: Tensor) -> None:
        self._seed, self._row_ids, self._first_column = seed, row_ids, first_column
        self._step = (0, 0)

    def begin(self, forward: int, block: int, step: int) -> None:
        self._step = (block, step)

    def token_names(self, row: Tensor, column: Tensor) -> tuple[int, Tensor, Tensor]:
        """Return seed, row ids (n,) and positions (n,) that name the draws of tokens to `linear_sample`."""
        return self._key(TOKENS), self._row_ids[row], self._position(row, column)

    def tokens(self, logits: Tensor, row: Tensor, column: Tensor) -> Tensor:
        seed, row_ids, positions = self.token_names(row, column)
        groups = torch.arange(-(-logits.shape[-1] // 4), device=logits.device)
        words = entry_words(seed, row_ids[:, None], positions[:, None], groups).flatten(1)
        return (logits + gumbel_noise(words[:, : logits.shape[-1]])).argmax(dim=-1)

    def uniforms(self, purpose: int, row: Tensor, column: Tensor) -> Tensor:
        return open_uniforms(self._words(purpose, row, column))

    def token_ids(self, row: Tensor, column: Tensor, vocab_size: int) -> Tensor:
        """Return ids (n,) int64 of some positions, all alike likely but for vocab_size / 2^32."""
        return self._words(IDS, row, column) % vocab_size

    def weighted_order(self, log_weight: Tensor) -> Tensor:
        num_rows, width = log_weight.shape
        row = torch.arange(num_rows, device=log_weight.device)[:, None]
        column = torch.arange(width, device=log_weight.device)
        return log_weight + gumbel_noise(self._words(POSITIONS, row, column))

    def _key(self, purpose: int) -> int:
        block, step = self._step
        low, high = (int(word) for word in philox_4x32(self._seed, block & _LOW, step & _LOW, purpose, _STEP_KEY)[:2])
        return low | (high & _HIGH) << 32

    def _position(self, row: Tensor, column: Tensor) -> Tensor:
        # Padding before a row's first token has a negative position, whose draws nobody uses.
        return (column - self._first_column[row]) & _LOW

    def _words(self, purpose: int, row: Tensor, column: Tensor) -> Tensor:
        ids, position = self._row_ids[row], self._position(row, column)
        return philox_4x32(self._key(purpose), position, ids & _LOW, ids >> 32 & _LOW, SAMPLE_STREAM)[0]
