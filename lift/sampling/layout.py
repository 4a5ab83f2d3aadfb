"""Lay prompts and masks out on a canvas, so that the blocks of all rows stand in the same columns.

Padding goes where no row reads it: before a row's first token, or behind its last.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lift.sampling.config import SamplingConfig


@dataclass
class Canvas:
    """Rows of T columns, with what is written in them."""

    ids: Tensor
    """(B, T) int64."""

    is_there: Tensor
    """(B, T) bool: no padding."""

    is_answer: Tensor
    """(B, T) bool: what is to be written."""

    first: Tensor
    """(B,) int64, the column of each row's first token."""

    blocks: list[tuple[int, int]]
    """First and last column (excluded) of each block, in the order of their turn."""

    attention_mask: Tensor | None
    """(B, T) int64, 1 on what is there; None where all is, and no mask was given."""

    given: Tensor
    """(B, R) int64, the ids that `read` returns for padding."""

    place: Tensor
    """(B, R) int64, the column of each of them, -1 for padding."""

    def read(self, values: Tensor) -> Tensor:
        """Return values (B, T) of the columns in the order of the caller's rows, (B, R); -1 for padding."""
        found = values.gather(1, self.place.clamp(min=0))
        return found.masked_fill(self.place < 0, -1)

    def text(self) -> Tensor:
        """Return the ids (B, R) as the caller gave them, and behind them the answer."""
        return torch.where(self.place < 0, self.given, self.read(self.ids))


def lay_out(
    prompt_ids: Tensor, attention_mask: Tensor | None, config: SamplingConfig, length: int, block_length: int,
    mask_token_id: int,
) -> Canvas:  # fmt: skip
    """Return the canvas of prompts (B, P) and answers of `length` tokens.

    Text to be filled in begins in column 0. Answers begin in the same column, one where a block begins if attention is
    block-causal; blocks counted from each row's start may begin inside a prompt, and prompts are moved to the right by
    whole blocks until the first of them meet.
    """
    num_rows, width = prompt_ids.shape
    is_token = torch.ones_like(prompt_ids, dtype=torch.bool) if attention_mask is None else attention_mask.bool()
    count, rank = is_token.sum(1), is_token.cumsum(1) - 1
    longest = int(count.max()) if num_rows else 0
    if config.infill:
        first, end = torch.zeros_like(count), count
        starts, last = list(range(0, width, block_length)), width
        answer_length = 0
    elif config.block_origin == "start":
        block = count // block_length
        turn = int(block.max()) if num_rows else 0
        first = (turn - block) * block_length
        end = first + -(-(count + length) // block_length) * block_length
        last = int(end.max()) if num_rows else 0
        starts, answer_length = list(range(turn * block_length, last, block_length)), length
    else:
        begin = -(-longest // block_length) * block_length if config.attention == "block_causal" else width
        first = begin - count
        last = begin + length
        end = torch.full_like(count, last)
        starts, answer_length = list(range(begin, last, block_length)), length
    column = torch.arange(last, device=prompt_ids.device)
    is_there = (column >= first[:, None]) & (column < end[:, None])
    prompt_place = torch.where(is_token, first[:, None] + rank, -1)
    answer_place = (first + count)[:, None] + torch.arange(answer_length, device=prompt_ids.device)
    ids = prompt_ids.new_full((num_rows, last + 1), mask_token_id)  # the last column takes the padding
    ids = ids.scatter(1, torch.where(is_token, prompt_place, last), prompt_ids)[:, :last]
    ids = torch.where(is_there, ids, 0)
    is_answer = ids == mask_token_id if config.infill else column >= (first + count)[:, None]
    return Canvas(
        ids=ids, is_there=is_there, is_answer=is_answer & is_there, first=first,
        blocks=[(start, min(start + block_length, last)) for start in starts],
        attention_mask=None if attention_mask is None and bool(is_there.all()) else is_there.long(),
        given=torch.cat([prompt_ids, prompt_ids.new_zeros(num_rows, answer_length)], 1),
        place=torch.cat([prompt_place, answer_place], 1),
    )  # fmt: skip
