"""`LiftConfig`: the training arguments of transformers and one field for each choice of the algorithm."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from transformers import TrainingArguments

from lift.errors import LiftError
from lift.normalizers import NORMALIZERS
from lift.objectives import METHODS, MODE_POLICIES

LEARNABILITIES = ("hard", "soft")


@dataclass
class LiftConfig(TrainingArguments):
    """`transformers.TrainingArguments` plus LIFT's own choices; the defaults are the published recipe's.

    Raises:
        LiftError: a field is outside its range; the sentence names it.
    """

    method: str = field(default="lift3", metadata={"help": f"What to train on: {', '.join(METHODS)}."})
    mode_policy: str = field(
        default="time",
        metadata={"help": "How each row's mode (easy, middle, hard) is chosen: by its time t, or at random."},
    )
    one_forward: bool = field(
        default=False,
        metadata={"help": "Score and train in one forward at rate t + rho; easy and hard tokens are not put back."},
    )
    learnability: str = field(
        default="hard", metadata={"help": "With one_forward: keep tokens (hard), or weight all masked ones (soft)."}
    )
    soft_temperature: float = field(default=1.0, metadata={"help": "Temperature of soft learnability, above 0."})
    time_scaling: bool = field(
        default=True, metadata={"help": "Weight each trained token by 1/t (lift2 and lift3; sft always does)."}
    )
    time_epsilon: float = field(default=1e-3, metadata={"help": "Lowest diffusion time t, in (0, 1)."})
    min_rho: float = field(default=0.1, metadata={"help": "Lowest over-mask rate rho, in [0, 1)."})
    pad_in_loss: bool = field(
        default=True,
        metadata={"help": "Mask, attend to and train pad tokens, as LLaDA does, so that the model learns to stop."},
    )
    loss_normalizer: str = field(
        default="token", metadata={"help": f"What the loss of a step is divided by: {', '.join(NORMALIZERS)}."}
    )
    loss_denominator: float | None = field(
        default=None, metadata={"help": "Divide the loss of a step by this number instead; above 0."}
    )
    mask_token_id: int | None = field(
        default=None, metadata={"help": "Id of the mask token; by default the tokenizer's."}
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
        super().__post_init__()
        _check_choice("method", self.method, METHODS)
        _check_choice("mode_policy", self.mode_policy, MODE_POLICIES)
        _check_range("time_epsilon", self.time_epsilon, 0 < self.time_epsilon < 1, "between 0 and 1, both excluded")
        _check_choice("learnability", self.learnability, LEARNABILITIES)
        _check_choice("loss_normalizer", self.loss_normalizer, NORMALIZERS)
        _check_range("soft_temperature", self.soft_temperature, self.soft_temperature > 0, "above 0")
        if self.learnability == "soft" and not self.one_forward:
            raise LiftError("learnability=soft belongs to one_forward: set one_forward=True, or learnability=hard.")
        if self.one_forward and self.method == "sft":
            raise LiftError("one_forward belongs to lift2 and lift3, got method='sft'.")
        if self.loss_denominator is not None:
            _check_range("loss_denominator", self.loss_denominator, self.loss_denominator > 0, "above 0")
        _check_range("min_rho", self.min_rho, 0 <= self.min_rho < 1, "at least 0 and below 1")
        _check_range("seed", self.seed, self.seed >= 0, "at least 0")
        if self.remove_unused_columns:
            raise LiftError("remove_unused_columns must be False: the collator needs prompt_length and example_id.")


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise LiftError(f"{name} must be one of {', '.join(choices)}, got {value!r}.")


def _check_range(name: str, value: float, is_inside: bool, wanted: str) -> None:
    if not is_inside:
        raise LiftError(f"{name} must be {wanted}, got {value}.")
