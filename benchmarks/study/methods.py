"""The methods that are compared: fields of `LiftConfig`, how many steps, and the one control that has a trainer."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

from lift import LiftTrainer
from lift.data.collated_batch import CollatedBatch
from lift.objectives import Draws, TrainingBatch


class ReversedTrainer(LiftTrainer):
    """Trains easy tokens where the method says hard, and hard ones where it says easy; all draws are the same."""

    def prepare_training_batch(
        self, model: nn.Module, inputs: CollatedBatch, draws: Draws, seed: int, *, is_evaluation: bool = False
    ) -> TrainingBatch:
        """Prepare the batch of the opposite modes."""
        assert draws.order is not None
        draws = replace(draws, order=-draws.order)
        return super().prepare_training_batch(model, inputs, draws, seed, is_evaluation=is_evaluation)


@dataclass(frozen=True)
class Method:
    """A way to fine-tune."""

    options: dict[str, Any]
    """Fields of `LiftConfig`."""

    step_factor: float = 1.0
    """Steps relative to the other methods'."""

    trainer: type[LiftTrainer] = field(default=LiftTrainer)

    equal_compute: str | None = None
    """The method of as many more steps as its second forward pass costs; None without one."""


METHODS = {
    "sft": Method({"method": "sft"}),
    "lift3": Method({"method": "lift3"}, equal_compute="sft_x1.22"),
    "hard": Method({"method": "hard"}, equal_compute="sft_x1.34"),
    "lift2": Method({"method": "lift2"}, equal_compute="sft_x1.34"),
    "reversed": Method({"method": "lift3"}, trainer=ReversedTrainer, equal_compute="sft_x1.22"),
    "middle": Method({"method": "middle"}),
    "gift": Method({"method": "gift"}, equal_compute="sft_x1.34"),
    "sft_x1.22": Method({"method": "sft"}, step_factor=1.22),
    "sft_x1.34": Method({"method": "sft"}, step_factor=1.34),
}
"""Run with every seed."""

BESIDE = {
    "cart": Method({"method": "cart"}),
    "lift3_one_forward": Method({"method": "lift3", "one_forward": True}),
    "hard_one_forward": Method({"method": "hard", "one_forward": True}),
}
"""Run with few seeds, and described only."""
