"""What a trainer does to rows before it draws noise on them: pack them, place them in their step, check them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lift.attention import check_packable
from lift.data import is_packed, pack_dataset
from lift.errors import LiftError
from lift.progress import shows_progress


def packed_as_asked(rows: Any, args: Any, model_config: Any) -> Any:
    """The training rows, packed where `args.packing` asks for it.

    Raises:
        LiftError: the rows are packed and the arguments do not say so, or the model would mix packed examples.
    """
    if not getattr(args, "packing", False):  # other trainers' configurations have no such field
        if rows is not None and is_packed(rows):
            raise LiftError("train_dataset is packed: set packing=True and pad_in_loss=False.")
        return rows
    check_packable(model_config)
    if rows is None or is_packed(rows):
        return rows
    return pack_dataset(rows, max_length=args.max_length, show_progress=shows_progress(args))


def place_in_step(batches: list[dict[str, Any]], loader: Any, *, process: int, num_processes: int) -> None:
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


def check_token_ids(inputs: dict[str, Tensor], vocab_size: int) -> None:
    """Raise LiftError, naming the example, if a row has ids that the model's embedding has not."""
    is_outside = ((inputs["input_ids"] < 0) | (inputs["input_ids"] >= vocab_size)).any(1)
    if is_outside.any():
        example = inputs["example_id"][is_outside][0].item()
        raise LiftError(
            f"row {example} of the training data has token ids outside the model's vocabulary of {vocab_size}: "
            "tokenise it with the model's own tokenizer."
        )


def check_vocabulary(tokenizer: Any, vocab_size: int) -> None:
    """Raise LiftError if the tokenizer has more tokens than the model's head has rows."""
    if tokenizer is not None and len(tokenizer) > vocab_size:
        raise LiftError(
            f"the tokenizer has {len(tokenizer)} tokens but the model's head only {vocab_size} rows: use the model's "
            "own tokenizer, or call model.resize_token_embeddings(len(tokenizer)) first."
        )
