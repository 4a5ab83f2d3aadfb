"""The draws of a recorded run, in the place of the counter-based generator."""

from __future__ import annotations

from collections import deque

import torch
from torch import Tensor

from lift.sampling.noise import SCORES
from tests.lift.support.golden_sampler import Case


class RecordedNoise:
    """Draws in their recorded order.

    Args:
        case: whose draws.
        first: (B,) int64, the column of each row's first recorded column.
        begin, block_length: column where the first block begins, and the columns of a block; draws of fewer columns
            than the canvas begin where the block does.
        width: columns of the recorded canvas.
    """

    def __init__(self, case: Case, first: Tensor, begin: int, block_length: int, width: int) -> None:
        self._draws = deque(
            (draw["after_forwards"], draw["fn"], case.tensors[f"draw{n}"])
            for n, draw in enumerate(case.record["draws"])
        )
        self._active_ids = case.record["stub"].get("active_ids")
        self._first, self._begin, self._block_length, self._width = first, begin, block_length, width
        self._start, self._forward = begin, 0
        self._tokens: tuple[str, Tensor] | None = None
        self._num_read = 0

    def begin(self, forward: int, block: int, step: int) -> None:
        while self._draws and self._draws[0][0] < forward:
            self._draws.popleft()
        self._forward = forward
        self._start = self._begin + block * self._block_length
        self._tokens, self._num_read = None, 0

    def tokens(self, logits: Tensor, row: Tensor, column: Tensor) -> Tensor:
        if self._tokens is None:
            self._tokens = self._next()
            while self._is_again(self._tokens[0]):  # some code draws twice and takes the second
                self._tokens = self._next()
        function, draw = self._tokens
        if function == "multinomial":
            if draw.dim() == 2 and draw.shape[0] == len(self._first) * self._block_length:  # of a whole block
                return draw.flatten()[row * self._block_length + column - self._start]
            part = slice(self._num_read, self._num_read + len(row))
            self._num_read += len(row)
            return draw.flatten()[part]
        uniform = draw[row, self._column(draw, row, column)].double()
        if self._active_ids is not None:
            uniform = torch.full(logits.shape, 0.5, dtype=torch.float64).index_copy(
                1, torch.tensor(self._active_ids), uniform
            )
        return (logits.double() - (-uniform.log()).log()).argmax(-1)

    def uniforms(self, purpose: int, row: Tensor, column: Tensor) -> Tensor:
        function, draw = self._next()
        while purpose == SCORES and function != "rand":  # of tokens, where nothing was masked
            function, draw = self._next()
        return draw[row, self._column(draw, row, column)] if purpose == SCORES else draw.flatten()

    def weighted_order(self, log_weight: Tensor) -> Tensor:
        key = torch.full_like(log_weight, -torch.inf)
        if not self._draws or self._draws[0][0] > self._forward:  # nothing moves in this step
            return key
        _, place = self._next()
        return key.scatter(1, place, torch.arange(place.shape[1], 0, -1, dtype=key.dtype).expand(place.shape))

    def _next(self) -> tuple[str, Tensor]:
        return self._draws.popleft()[1:]

    def _is_again(self, function: str) -> bool:
        return function == "rand_like" and bool(self._draws) and self._draws[0][:2] == (self._forward, function)

    def _column(self, draw: Tensor, row: Tensor, column: Tensor) -> Tensor:
        return column - (self._first[row] if draw.shape[1] == self._width else self._start)
