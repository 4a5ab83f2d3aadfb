"""How many bytes a training forward keeps for its backward pass, counted where autograd saves them."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.multiprocessing.reductions import StorageWeakRef

from lift.data.row_columns import row_lengths
from lift.errors import LiftError
from lift.training.row_lengths import padded_width


class Activations(NamedTuple):
    """Bytes that a training forward of `rows` rows of one width keeps: `fixed + rows * per_row`."""

    fixed: int
    """What does not grow with the rows: the head's gradient, formed in the forward, and weights cast by autocast."""

    per_row: int


def measure_activations(trainer: Any) -> Activations:
    """Return what the trainer's model keeps, measured on its widest row, twice and three times over.

    Autograd tells each tensor that it saves; it is counted, by its storage and without parameters and buffers, and let
    go. So this takes no more memory than a forward without gradient, and is exact for the width, attention, precision
    and device at hand (a row alone may take less: what needs no copy there is not kept twice). Every token of the
    response is masked and trained, the most that a step can ask for.
    """
    two, three = (_saved_bytes(trainer, num_rows) for num_rows in (2, 3))
    return Activations(max(0, 3 * two - 2 * three), three - two)


def widest(trainer: Any) -> int:
    """Return the tokens of the widest row that a training step may see, padding included."""
    return padded_width(len(_widest_row(trainer)["input_ids"]), trainer.args)


def _saved_bytes(trainer: Any, num_rows: int) -> int:
    inputs = trainer._prepare_inputs(trainer.data_collator([_widest_row(trainer)] * num_rows))
    batch = trainer.prepare_evaluation_batch(inputs, torch.ones(num_rows, device=inputs["input_ids"].device))
    trainer.model.train()
    saved = _Saved(trainer.model)
    with saved_tensors_hooks(saved.count, lambda nothing: nothing), trainer.accelerator.autocast():
        trainer._forward(trainer.model, inputs, batch, return_token_stats=True)
    return saved.num_bytes


def _widest_row(trainer: Any) -> Any:
    rows = trainer.train_dataset
    lengths = row_lengths(rows)
    if lengths is None:
        raise LiftError("the memory of a stream's rows is not known beforehand: load its rows.")
    return rows[int(lengths.argmax())]


class _Saved:
    """Counts the storages that autograd saves and keeps none; the graph that is built cannot run backwards."""

    def __init__(self, model: nn.Module) -> None:
        self.num_bytes = 0
        held = (*model.parameters(), *model.buffers())
        # Weak references keep an address from being used again, without keeping what lay there.
        self._known = {StorageWeakRef(tensor.untyped_storage()) for tensor in held}

    def count(self, tensor: Tensor) -> None:
        """Take note of a saved tensor."""
        storage = tensor.untyped_storage()
        reference = StorageWeakRef(storage)
        if reference not in self._known:
            self._known.add(reference)
            self.num_bytes += storage.nbytes()
