"""Tell each row its place in the optimiser step, as one process would see it."""

from __future__ import annotations

from typing import Any

import torch

from lift.data.collated_batch import CollatedBatch


def place_in_step(batches: list[CollatedBatch], loader: Any, *, process: int, num_processes: int) -> None:
    """Tell each row its place in the optimiser step, as one process would see it, and blank the repeated rows.

    A loader deals micro-batches out to the processes in turn. Where the last ones of an epoch do not go round, it
    fills them up with rows from the epoch's start, which must not train twice.

    Args:
        batches: the micro-batches of this process in the step.
        loader: accelerate's GradientState, which knows whether the epoch ends with them.
        process, num_processes: which one of how many this is.
    """
    size = len(batches[0]["example_id"])
    turn = size * num_processes
    is_short = loader.end_of_dataloader and loader.remainder > 0
    num_rows = (len(batches) - 1) * turn + (loader.remainder if is_short else turn)
    for i, batch in enumerate(batches):
        first = i * turn + process * size
        position = torch.arange(first, first + len(batch["example_id"]))
        batch["position"], batch["micro_batch"], batch["num_step_rows"] = position, i, num_rows
        if first + len(position) > num_rows:
            batch["maskable"] = batch["maskable"] & (position < num_rows).to(batch["maskable"].device)[:, None]
