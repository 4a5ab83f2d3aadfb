"""`LiftConfig`: the training arguments of transformers and LIFT's own options."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

import torch
from transformers import TrainingArguments

from lift.errors import LiftError
from lift.fields import check_choice, check_range
from lift.models.transformers_versions import set_checkpointing_options, take_old_checkpointing_names
from lift.objectives.methods import METHODS
from lift.objectives.options import LiftOptions


@dataclass
class LiftConfig(LiftOptions, TrainingArguments):
    """`transformers.TrainingArguments` plus `LiftOptions`.

    Raises:
        LiftError: a field is outside its range; the sentence names it.
    """

    max_length: int = field(
        default=512,
        metadata={"help": "Longest row in tokens: where rows are cut, the width of pad_to=max_length and of packing."},
    )
    packing: bool = field(
        default=False,
        metadata={
            "help": "Pack short training examples into rows of up to max_length tokens, none of which attends to "
            "another. A packed row is one row: one time t, one rate rho, one mode; loss_normalizer counts it as one."
        },
    )
    pad_to: str = field(
        default="longest",
        metadata={"help": "Pad a batch to its longest row, or to max_length, as the published code does."},
    )
    pad_to_multiple_of: int | None = field(
        default=None, metadata={"help": "Then round the width of a batch up to a multiple of this."}
    )
    remove_unused_columns: bool = field(
        default=False, metadata={"help": "Must stay False: the collator needs columns that the model does not take."}
    )
    disable_tqdm: bool | None = field(default=False, metadata={"help": "Show no progress bar."})
    logging_nan_inf_filter: bool = field(
        default=False, metadata={"help": "False, so that a loss that is not finite is seen and stops the run."}
    )

    def __post_init__(self) -> None:
        if not torch.accelerator.is_available():
            self.dataloader_pin_memory = False  # pinning without an accelerator only warns
            self._join_processes_on_cpu()
        take_old_checkpointing_names(self)
        super().__post_init__()
        if self.gradient_checkpointing:
            self._make_checkpointing_non_reentrant()
        self.resolve_options()
        check_choice("pad_to", self.pad_to, ("longest", "max_length"))
        if self.packing and self.pad_in_loss:
            raise LiftError("packing leaves no padding to train on: set pad_in_loss=False, or packing=False.")
        if self.packing and METHODS[self.method].reads_row:
            raise LiftError(
                f"method={self.method!r} weighs a token by its row's context, and packing would mix in other examples'."
            )
        check_range("max_length", self.max_length, "[1, inf)")
        if self.pad_to_multiple_of is not None:
            check_range("pad_to_multiple_of", self.pad_to_multiple_of, "[1, inf)")
        check_range("seed", self.seed, "[0, inf)")
        if self.remove_unused_columns:
            raise LiftError("remove_unused_columns must be False: the collator needs prompt_length and example_id.")

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
