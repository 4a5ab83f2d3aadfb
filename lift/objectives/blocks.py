"""Blocks of rows as samples of diffusion of their own: the same objective per block as per row.

Block diffusion denoises one block at a time, given the clean blocks before it. A (row, block) pair then has its own
time, and its masked tokens compete with no others. So a micro-batch of B rows is folded into one of U blocks, a method
makes its batch of these as it would of rows, and the batch is unfolded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lift.errors import LiftError
from lift.objectives.batch import DenoisingBatch

ROW_ID_BITS = 32
"""Of an example's id, where blocks are named: the number of the block lies above."""


@dataclass(frozen=True)
class Blocks:
    """Where the blocks of B rows of L positions lie: `per_row` of `size` positions for each row, U = B per_row in all.

    The last block of a row or document may be short, and rows of several documents may have fewer blocks.
    """

    size: int
    per_row: int

    number: Tensor
    """(B, L) int64: the block of each position, counted from the start of its row."""

    offset: Tensor
    """(B, L) int64: the place of each position in its block."""

    document: Tensor
    """(B, L) int64: the document of each position, counted from the start of its row."""

    num_used: Tensor
    """(B,) int64: the blocks of each row before its padding. Times are spread over these."""

    @classmethod
    def of_rows(
        cls, num_rows: int, length: int, size: int, *, lengths: Tensor | None = None, origin: Tensor | None = None
    ) -> Blocks:
        """Return the blocks of rows of one document each, of `lengths` (B,) int64 tokens before their padding.

        Given `origin` (B,) int64, they are counted anew from there, so that the block before it may be short.
        """
        if lengths is None:
            lengths = torch.full((num_rows,), length)
        column = torch.arange(length).expand(num_rows, length)
        if origin is None:
            number, offset, used = column // size, column % size, (lengths + size - 1) // size
            return cls(size, -(-length // size), number, offset, torch.zeros_like(column), used)
        is_behind = column >= origin[:, None]
        place = column - origin[:, None] * is_behind
        before = (origin + size - 1) // size  # the blocks of each row that lie before its origin
        number = place // size + before[:, None] * is_behind
        used = number.masked_fill(column >= lengths[:, None], -1).amax(1) + 1
        return cls(size, int(number.max()) + 1, number, place % size, torch.zeros_like(column), used)

    @classmethod
    def of_documents(cls, position_ids: Tensor, lengths: Tensor, size: int) -> Blocks:
        """Return the blocks of packed rows; they start anew with each document.

        Args:
            position_ids: (B, L) int64; a document begins where it is 0.
            lengths: (B,) int64, each row's tokens before its padding, which is one more document.
            size: of a block.
        """
        column = torch.arange(position_ids.shape[1])
        is_pad = column >= lengths[:, None]
        position = torch.where(is_pad, column - lengths[:, None], position_ids)
        number = (position % size == 0).cumsum(1) - 1
        used = number.masked_fill(is_pad, -1)
        return cls(
            size, int(number.max()) + 1, number, position % size, (position == 0).cumsum(1) - 1, used.amax(1) + 1
        )

    @property
    def row(self) -> Tensor:
        """The row (U,) int64 of each block."""
        rows = torch.arange(self.number.shape[0], device=self.number.device)
        return rows.repeat_interleave(self.per_row)

    def to(self, device: torch.device) -> Blocks:
        """Return the same on `device`."""
        return self._mapped(lambda values: values.to(device))

    def take(self, rows: Tensor) -> Blocks:
        """Return those of `rows` (R,) int64, in this order."""
        return self._mapped(lambda values: values[rows])

    def ids(self, row_ids: Tensor) -> Tensor:
        """Return what names each block (U,) int64 in its draws: row + 2^32 block, so the row's own id for its first.

        `row_ids` (B,) int64 must lie in [0, 2^32); where they do not, on the host, LiftError says so.
        """
        if row_ids.device.type == "cpu" and ((row_ids < 0) | (row_ids >> ROW_ID_BITS > 0)).any():
            raise LiftError("blocks need an example_id from 0 to 2^32 - 1 for each row: number the rows anew.")
        block = torch.arange(self.per_row, device=row_ids.device)
        return (row_ids[:, None] + (block << ROW_ID_BITS)).flatten()

    def fold(self, values: Tensor, fill: float) -> Tensor:
        """Return values (B, L) as (U, size), `fill` where a block has no position."""
        folded = values.new_full((self.number.shape[0] * self.per_row * self.size,), fill)
        return folded.scatter_(0, self._place.flatten(), values.flatten()).view(-1, self.size)

    def unfold(self, values: Tensor) -> Tensor:
        """Return values (U, size) as (B, L), or those of several views (views U, size) as (views B, L)."""
        views = values.reshape(-1, self.number.shape[0] * self.per_row * self.size)
        return views[:, self._place].flatten(0, 1)

    def first_of_document(self) -> Tensor:
        """Return the number in its row (B, per_row) int64 of the first block of each block's document."""
        document = self.fold(self.document, -1)[:, 0].view(-1, self.per_row)
        is_first = torch.ones_like(document, dtype=torch.bool)
        is_first[:, 1:] = document[:, 1:] != document[:, :-1]
        own = torch.arange(self.per_row, device=document.device).expand_as(document)
        return own.where(is_first, 0).cummax(1).values

    def num_before(self) -> Tensor:
        """Return how many tokens (U,) int64 of its document lie before each block: those that it sees clean."""
        column = torch.arange(self.number.shape[1], device=self.number.device).expand_as(self.number)
        start = self.fold(column, 0)[:, 0].view(-1, self.per_row)
        return (start - start.gather(1, self.first_of_document())).clamp(min=0).flatten()

    def index(self) -> Tensor:
        """Return where each place (U, size) of the blocks lies in the flattened rows (B L); -1 where nowhere."""
        position = torch.arange(self.number.numel(), device=self.number.device)
        return self.fold(position.view_as(self.number), -1)

    def unfold_batch(self, batch: DenoisingBatch) -> DenoisingBatch:
        """Return the forward of U blocks, or of several views of them, as that of B rows."""
        return batch._replace(
            input_ids=self.unfold(batch.input_ids), labels=self.unfold(batch.labels),
            token_weight=self.unfold(batch.token_weight),
        )  # fmt: skip

    def _mapped(self, change: Callable[[Tensor], Tensor]) -> Blocks:
        return replace(
            self, number=change(self.number), offset=change(self.offset), document=change(self.document),
            num_used=change(self.num_used),
        )  # fmt: skip

    @property
    def _place(self) -> Tensor:
        row = torch.arange(self.number.shape[0], device=self.number.device)[:, None]
        return (row * self.per_row + self.number) * self.size + self.offset
