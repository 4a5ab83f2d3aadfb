"""The gradient of one row at chosen draws, as a training step of that row alone would have it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lift.errors import LiftError
from lift.models.evaluation_mode import evaluation_mode
from lift.objectives import METHODS, step_seed


class RowGradient:
    """Gives gradients of rows of a trainer's training set, with dropout off.

    A row is a step of its own: alone it has no padding (unless the collator pads to a fixed width), and
    `loss_normalizer` divides by its own tokens. Its draws are functions of (seed, row, number of the time, number of
    the mask): the first three give its time or those of its blocks, its over-mask rate and its mode, all four its mask
    and whatever else the objective draws.

    Args:
        trainer: a `LiftTrainer` that is not in training; neither it nor its model is changed.

    Raises:
        LiftError: no parameter is trained, or what the method masks or ranks by comes from the steps before.
    """

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer
        self._parameters = [parameter for parameter in trainer.model.parameters() if parameter.requires_grad]
        if not self._parameters:
            raise LiftError("the model has no parameter that is trained, so there is no gradient: unfreeze some.")
        if METHODS[trainer.args.method].keeps_pool:
            raise LiftError(
                f"method={trainer.args.method!r} masks a row by what earlier steps have seen, so that a row alone has "
                "no gradient: take another."
            )
        if trainer.args.score_source == "cache":
            raise LiftError("score_source=cache has no scores outside a training: use score_source=model.")

    @property
    def num_parameters(self) -> int:
        """Numbers that are trained."""
        return sum(parameter.numel() for parameter in self._parameters)

    def __call__(self, row: int, time: int, mask: int) -> list[Tensor]:
        """Return the gradient of each trained parameter, in its shape and dtype; of one without a gradient, zeros."""
        trainer = self._trainer
        inputs = trainer.clean_inputs(trainer._prepare_inputs(trainer.data_collator([trainer.train_dataset[row]])))
        trainer._check(inputs)
        of_time = step_seed(step_seed(trainer.args.seed, row), time)
        of_mask = step_seed(of_time, mask)
        draws = trainer._batches.draw(inputs, of_time)
        with evaluation_mode(trainer.model), torch.enable_grad(), trainer.compute_loss_context_manager():
            prepared = trainer.prepare_training_batch(trainer.model, inputs, draws, of_mask)
            normalised = trainer._normalised(prepared)
            loss = trainer._forward(
                trainer.model, inputs, normalised.batch, one_forward=normalised.one_forward,
                confidence=normalised.confidence,
            ).loss  # fmt: skip
            return list(torch.autograd.grad(loss, self._parameters, materialize_grads=True))
