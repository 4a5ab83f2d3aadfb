"""Rows of a run's first step as its model sees them: drawn, scored and masked by the trainer itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lift.data.collated_batch import CollatedBatch
from lift.objectives import MODES, TrainingBatch
from lift_kernels import corrupt_tokens

PROMPT, VISIBLE, KEPT, CANDIDATE, PUT_BACK = range(5)
"""What a step does with a token: given; of the response and seen; masked and trained; masked, and the loss itself
chooses whether it is trained (one_forward); masked while the model scored it, and put back."""


@dataclass(frozen=True)
class FirstRow:
    """One row of the first step. Padding that no loss counts is left out."""

    example_id: int
    clean_ids: list[int]
    states: list[int]
    """One of the names above for each token."""

    length: int
    """Tokens before the padding."""

    timestep: tuple[float, ...]
    """The time of the row, or of each of its blocks."""

    rho: tuple[float, ...] | None = None
    """The over-mask rates, or None where the method trains all that it masks."""

    mode: tuple[str, ...] | None = None


def first_rows(trainer: Any, number: int = 2) -> list[FirstRow]:
    """Return the first rows of the first optimiser step that `trainer.train()` would take from a new start.

    The trainer takes no step, but its model is left in training mode and its random state moved on.

    Args:
        trainer: a `LiftTrainer` that has not trained.
        number: of rows; fewer where the step has fewer.
    """
    rows: list[FirstRow] = []
    loader = iter(trainer.get_train_dataloader())
    trainer.model.train()
    with trainer.accelerator.autocast():
        batches, _ = trainer.get_batch_samples(loader, trainer.args.gradient_accumulation_steps, trainer.args.device)
        seed = trainer._seed()
        for batch in batches:
            inputs = trainer._prepare_inputs(batch)
            prepared = trainer.prepare_training_batch(trainer.model, inputs, inputs["draws"], seed)
            trains_all = trainer.args.loss_positions == "all"
            rows += _rows(inputs, prepared, seed, trainer.mask_token_id, trains_all=trains_all)
            if len(rows) >= number:
                break
    return rows[:number]


def _rows(
    inputs: CollatedBatch, prepared: TrainingBatch, seed: int, mask_token_id: int, *, trains_all: bool
) -> Iterator[FirstRow]:  # fmt: skip
    clean, maskable, draws = inputs["input_ids"], inputs["maskable"], prepared.draws
    num_rows, width = clean.shape
    names = {order: name for name, order in MODES.items()}
    lengths = inputs.get("lengths", (width,) * num_rows)
    states = _states(inputs, prepared, seed, mask_token_id, trains_all=trains_all)
    times = draws.timestep.view(num_rows, -1).tolist()
    rhos = None if draws.rho is None else draws.rho.view(num_rows, -1).tolist()
    orders = None if draws.order is None else draws.order.view(num_rows, -1).tolist()
    for i in range(num_rows):  # the first view, where complementary masks make two
        counts = (torch.arange(width, device=clean.device) < lengths[i]) | maskable[i]
        yield FirstRow(
            int(inputs["example_id"][i]),
            clean[i][counts].tolist(),
            states[i][counts].tolist(),
            lengths[i],
            tuple(times[i]),
            None if rhos is None else tuple(rhos[i]),
            None if orders is None else tuple(names[order] for order in orders[i]),
        )


def _states(
    inputs: CollatedBatch, prepared: TrainingBatch, seed: int, mask_token_id: int, *, trains_all: bool
) -> Tensor:  # fmt: skip
    clean, maskable, draws = inputs["input_ids"], inputs["maskable"], prepared.draws
    num_rows = clean.shape[0]
    labels, seen = prepared.batch.labels[:num_rows], prepared.batch.input_ids[:num_rows]
    states = torch.where(maskable, VISIBLE, PROMPT)
    if draws.rho is not None:  # the same draw as the method's, by which alone middle rows show what they put back
        blocks, row_ids = inputs.get("blocks"), inputs["example_id"]
        if blocks is not None:
            blocks = blocks.to(clean.device)
            clean, maskable, row_ids = blocks.fold(clean, 0), blocks.fold(maskable, False), blocks.ids(row_ids)
        overmasked = corrupt_tokens(
            clean, (draws.timestep + draws.rho).to(clean.device), mask_token_id=mask_token_id, seed=seed,
            maskable=maskable, row_ids=row_ids,
        ).is_masked  # fmt: skip
        if blocks is not None:
            clean, overmasked = inputs["input_ids"], blocks.unfold(overmasked)
        states = states.masked_fill(overmasked & (seen == clean), PUT_BACK)
    is_chosen = labels != -100
    if trains_all:  # also what is visible: a token that noise left as it was looks like one that it spared
        is_chosen &= seen != clean
    return states.masked_fill(is_chosen, KEPT if prepared.one_forward is None else CANDIDATE)
