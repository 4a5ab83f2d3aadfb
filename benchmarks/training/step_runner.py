"""Training steps of one objective on the demo's model: draws, loss, backward and optimiser."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForMaskedLM

from benchmarks.training.objectives import with_density
from lift import LiftConfig, LiftTrainer
from lift.tasks import sudoku


class StepRunner:
    """Steps of one objective, on a model of its own that starts like the others'.

    Args:
        options: the fields of `LiftConfig` that make the objective.
        preset: the demo's preset as a mapping; its model, batch size and learning rate are used.
        rows: a prepared dataset.
        folder: an output folder, in which nothing is kept.

    Raises:
        LiftError: the options need more than they say.
    """

    def __init__(self, options: dict[str, Any], preset: dict[str, Any], rows: Any, folder: str) -> None:
        torch.manual_seed(0)
        tokenizer = sudoku.build_tokenizer()
        ids = {"pad_token_id": tokenizer.pad_token_id, "vocab_size": len(tokenizer)}
        self.model = AutoModelForMaskedLM.from_config(AutoConfig.for_model(**preset["model_config"], **ids)).train()
        args = LiftConfig(
            output_dir=folder, per_device_train_batch_size=preset["per_device_train_batch_size"], disable_tqdm=True,
            use_cpu=True, save_strategy="no", report_to="none", **with_density(options, folder),
        )  # fmt: skip
        self.trainer = LiftTrainer(self.model, args, train_dataset=rows, processing_class=tokenizer)
        self.batches = list(self.trainer.get_train_dataloader())
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=preset["learning_rate"])

    def step(self, number: int) -> None:
        """Train on batch `number` of as many as there are, as global step `number`."""
        loss_of_step(self.trainer, self.batches[number % len(self.batches)], number).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


def loss_of_step(trainer: Any, inputs: Any, number: int) -> Tensor:
    """Return the loss of a micro-batch that is global step `number`, by the calls with which a training makes it."""
    trainer.state.global_step = number
    trainer.current_gradient_accumulation_steps = 1
    # No loader deals this batch out, and one that an earlier trainer left in the middle must not end its epoch.
    trainer.accelerator.gradient_state.dataloader_references = [None]
    (batch,), _ = trainer.get_batch_samples(iter([dict(inputs)]), 1, trainer.args.device)
    loss: Tensor = trainer.compute_loss(trainer.model, batch)
    return loss
