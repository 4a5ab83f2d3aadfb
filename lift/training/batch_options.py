"""`BatchOptions` and `TrainerDefaults`: fields of `LiftConfig` that can be read and checked without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lift.errors import LiftError
from lift.fields import check_choice, check_fields, option

EVALUATION_SHARE = 0.1
"""Of a run's steps, between two evaluations by default: their number does not grow with the run."""


@dataclass
class BatchOptions:
    """How long rows are, and how they become batches. Whoever takes them calls `check_batch_options`."""

    max_length: int = option(
        512,
        "Longest row in tokens: where rows are cut, the width of pad_to=max_length and of packing.",
        within="[1, inf)",
    )
    packing: bool = option(
        False,
        "Pack short training examples into rows of up to max_length tokens, none of which attends to another. A packed "
        "row is one row: one time t, one rate rho, one mode; loss_normalizer counts it as one.",
    )
    pad_to: Literal["longest", "max_length"] = option(
        "longest",
        "Pad rows to the longest of the batch (where padding is trained: of the whole step), or to max_length, as the "
        "published code does.",
    )
    pad_to_multiple_of: int | None = option(
        None, "Then round the width of a batch up to a multiple of this.", within="[1, inf)"
    )

    pad_tokens: list[int] | None = option(
        None,
        "Pad with these token ids in turn, over and over from each row's end, instead of with the pad token, so that "
        "padding teaches no second way to end (rainbow padding).",
    )

    keep_first: bool = option(
        False,
        "Never mask the first token of an example; always so where the model predicts the next token.",
    )

    def check_batch_options(self) -> None:
        """Check the fields of this class.

        Raises:
            LiftError: one is outside its range; the sentence names it.
        """
        check_fields(self, BatchOptions)
        if self.pad_tokens is not None and len(set(self.pad_tokens)) < max(len(self.pad_tokens), 1):
            raise LiftError(f"pad_tokens must be distinct token ids, at least one, got {self.pad_tokens}.")


@dataclass
class TrainerDefaults:
    """Fields of `transformers.TrainingArguments` with other defaults, and what is logged beside what they name.

    Whoever takes them calls `check_defaults`.
    """

    remove_unused_columns: bool = option(
        False, "Must stay False: the collator needs columns that the model does not take."
    )
    disable_tqdm: bool | None = option(False, "Show no progress bar.")
    logging_nan_inf_filter: bool = option(False, "False, so that a loss that is not finite is seen and stops the run.")
    logging_steps: float = option(
        10, "Optimiser steps between two log entries; below 1, a share of the run's.", within="(0, inf)"
    )
    logging_first_step: bool = option(True, "Log the first step too, so that the shortest run shows a loss.")
    eval_strategy: Literal["no", "steps", "epoch"] | None = option(
        None,
        "When to evaluate as training goes: no, every eval_steps steps, or after each epoch. By default lift train "
        "takes steps (beside load_best_model_at_end and save_strategy=epoch, epoch), and a LiftConfig no.",
    )
    eval_steps: float | None = option(
        None,
        "Optimiser steps between two evaluations; below 1, a share of the run's. By default 0.1, and with "
        "load_best_model_at_end, save_steps where that is set.",
        within="(0, inf)",
    )

    log_tokens: Literal["modes", "bands", "figures"] = option(
        "figures",
        "What is logged of the tokens that are kept and put back: by mode; by time and by frequency in the responses "
        "too (bands); and pictures of these in TensorBoard and Weights & Biases, for at most a hundredth of the time.",
    )

    def check_defaults(self) -> None:
        """Check the fields of this class.

        Raises:
            LiftError: remove_unused_columns is set, or log_tokens or eval_strategy is none that there is.
        """
        check_choice("log_tokens", self.log_tokens, ("modes", "bands", "figures"))
        if self.eval_strategy is not None:
            check_choice("eval_strategy", self.eval_strategy, ("no", "steps", "epoch"))
        if self.remove_unused_columns:
            raise LiftError("remove_unused_columns must be False: the collator needs prompt_length and example_id.")
