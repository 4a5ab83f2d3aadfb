"""`LiftConfig`: the training arguments of transformers and LIFT's own options."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
from transformers import TrainingArguments

from lift.errors import LiftError
from lift.models.transformers_versions import set_checkpointing_options, take_old_checkpointing_names
from lift.objectives import METHODS, LiftOptions
from lift.training.argument_ranges import check_training_arguments
from lift.training.batch_options import EVALUATION_SHARE, BatchOptions, TrainerDefaults
from lift.training.scheduler_options import check_scheduler_options
from lift.training.unsupported import check_supported


@dataclass
class LiftConfig(BatchOptions, TrainerDefaults, LiftOptions, TrainingArguments):  # type: ignore[misc]
    """`transformers.TrainingArguments`, some of them with other defaults, plus `LiftOptions` and `BatchOptions`.

    Raises:
        LiftError: a field is outside its range, or has no effect in LIFT; the sentence names it.
    """

    def __post_init__(self) -> None:
        if not torch.accelerator.is_available():
            self.dataloader_pin_memory = False  # pinning without an accelerator only warns
            self._join_processes_on_cpu()
        take_old_checkpointing_names(self)
        check_training_arguments(self)
        self.check_defaults()
        self._plan_evaluations()
        super().__post_init__()
        check_scheduler_options(self)
        if self.gradient_checkpointing:
            self._make_checkpointing_non_reentrant()
        self.resolve_options()
        self.check_batch_options()
        if self.pad_tokens is not None and not self.pad_in_loss:
            raise LiftError("pad_tokens are padding that is trained: set pad_in_loss=True, or leave them out.")
        if self.packing and self.pad_in_loss:
            raise LiftError("packing leaves no padding to train on: set pad_in_loss=False, or packing=False.")
        if self.packing and METHODS[self.method].reads_row:
            raise LiftError(
                f"method={self.method!r} weighs a token by its row's context, and packing would mix in other examples'."
            )
        check_supported(self)

    def _plan_evaluations(self) -> None:
        """transformers would evaluate as often as it logs, and takes the best checkpoint only of evaluated ones."""
        self.eval_strategy = self.eval_strategy or "no"
        if self.eval_strategy == "steps" and self.eval_steps is None:
            goes_back = self.load_best_model_at_end and self.save_strategy == "steps"
            self.eval_steps = self.save_steps if goes_back else EVALUATION_SHARE

    def _join_processes_on_cpu(self) -> None:
        """Without this, processes that a launcher started on a machine without GPUs would each train on their own."""
        if self.deepspeed or os.environ.get("ACCELERATE_USE_DEEPSPEED", "false").lower() == "true":
            # accelerate drops DeepSpeed, in silence, where use_cpu is set; with a backend named it finds the others.
            self.use_cpu, self.ddp_backend = False, self.ddp_backend or "gloo"
        else:
            self.use_cpu = True

    def _make_checkpointing_non_reentrant(self) -> None:
        """The reentrant kind, which transformers 4.57 takes by default, fails on a frozen base."""
        given = self.gradient_checkpointing_kwargs or {}
        if isinstance(given, str):
            raise LiftError(
                f"gradient_checkpointing_kwargs must be a mapping, JSON on the command line, got {given!r}."
            )
        set_checkpointing_options(self, {"use_reentrant": False, **given})
