"""The evaluation loss: one number for a whole set, however it is split into batches and processes."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from transformers.trainer_utils import has_length

from lift.data.collated_batch import CollatedBatch, host_example_id
from lift.data.row_columns import row_lengths
from lift.objectives import DenoisingBatch, evaluation_place, evaluation_time
from lift.training.common_width import longest_row, pad_to_width
from lift.training.place_in_step import place_in_step


class Evaluation:
    """One pass over an evaluation set: what is known of the whole set, and the sums so far, kept on the device.

    Args:
        rows: the set, which may be a stream without a length.
        args: the training arguments.
    """

    def __init__(self, rows: Any, args: Any) -> None:
        self.rows, self.args = rows, args
        self.num_examples = max(len(rows), 1) if has_length(rows) else None
        # Loss times tokens, and tokens.
        dtype = torch.float64 if args.device.type != "mps" else torch.float32
        self._sums = torch.zeros(2, dtype=dtype, device=args.device)

    def place(self, batch: CollatedBatch, loader: Any) -> None:
        """Blank the rows that fill up the last turn of the processes, and give each its width and its place in the set.

        `loader` is accelerate's GradientState. The place is a function of the example, so that times that go by places
        do not depend on the order.
        """
        place_in_step([batch], loader, process=self.args.process_index, num_processes=self.args.world_size)
        if "padding" in batch:
            pad_to_width(batch, max(self.longest, longest_row([batch])))
        batch["position"], batch["num_step_rows"] = evaluation_place(host_example_id(batch), self.num_examples)

    @cached_property
    def longest(self) -> int:
        """Tokens of the longest row of the set, or, of a stream, `args.max_length`: what rows were cut to.

        Where padding is trained all rows are as long, as they attend to it.
        """
        lengths = row_lengths(self.rows)
        if lengths is None:
            return getattr(self.args, "max_length", None) or 0  # other trainers' arguments need not have it
        return int(lengths.max(initial=0))

    def times(self, batch: CollatedBatch) -> Tensor:
        """Return the time u (B,) of each row, before its floor."""
        return evaluation_time(batch["example_id"], self.num_examples, grid=self.args.eval_grid)

    def add(self, loss: Tensor, batch: DenoisingBatch, maskable: Tensor) -> None:
        """Count a batch by its loss (0-d) and its denominator, the number of its `maskable` (B, L) bool tokens.

        Nothing is read back.
        """
        num_tokens = batch.denominator.to(self._sums).where(maskable.any(), 0)  # it is at least 1
        self._sums += torch.stack([loss.to(self._sums) * num_tokens, num_tokens])

    def loss(self, reduce: Callable[[Tensor], Tensor]) -> float:
        """Return the loss of the set in nats; `reduce` adds the sums (2,) of all processes."""
        total, num_tokens = reduce(self._sums.clone()).tolist()
        return float(total / max(num_tokens, 1))
