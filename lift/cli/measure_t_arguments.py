"""The flags of `lift measure-t`: its own, and those of `lift train` that say which rows there are. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lift.cli.measured_arguments import FROM_FILES, MeasuredArguments, Parsed, parse_measured
from lift.errors import LiftError
from lift.fields import check_fields, option
from lift.objectives import LiftOptions

_TRAINED_SO = ("attention", "block_size", "block_origin", "time_epsilon", "time_range", "exclude_mask_token")
"""What must be as it will be in the training."""


@dataclass
class MeasureArguments(MeasuredArguments):
    """What to measure, and how."""

    output: str | None = option(None, "File of the density, for lift train --time_density; JSON.")
    num_examples: int = option(32, "Rows, spread evenly over all.", within="[1, inf)")
    num_times: int = option(30, "T: rows are masked at the times 1/T, 2/T, .. 1 - 1/T.", within="[2, inf)")
    num_masks: int = option(10, "Masks of each row at each time.", within="[2, inf)")
    smoothing: int = option(1, "Neighbours on either side that a point is averaged with.", within="[0, inf)")
    floor: float = option(
        0.1, "Share of draws that stay uniform, so that no time weighs more than 1 / floor.", within="(0, 1]"
    )
    attention: Literal["full", "block"] | None = option(None, "As in training; by default the family's.")
    block_size: int | None = option(None, "Tokens of a block, as in training.", within="[1, inf)")
    block_origin: Literal["start", "answer"] | None = option(None, "Where blocks are counted from, as in training.")
    time_epsilon: float = option(1e-3, "Lowest diffusion time, as in training.", within="(0, 1)")
    time_range: list[float] | None = option(None, "Lowest and highest diffusion time, as in training.")
    exclude_mask_token: bool = option(False, "Give the mask token no probability, as in training.")
    corruption: Literal["mask", "uniform"] = option("mask", "As in training; only mask is measured.")

    def __post_init__(self) -> None:
        check_fields(self, MeasureArguments)
        if not self.output:
            raise LiftError("no output: pass --output FILE.json.")
        if not self.model:
            raise LiftError("no model: pass --model FOLDER_OR_HUB_ID.")
        if self.corruption == "uniform":
            raise LiftError("a training with corruption=uniform is not measured: train it without time_density.")
        self.training_options().resolve_options()

    def training_options(self) -> LiftOptions:
        """Return the options of a training that the density is for, not resolved."""
        return LiftOptions(method="sft", **{name: getattr(self, name) for name in _TRAINED_SO})


def parse(arguments: Sequence[str]) -> Parsed:
    """Return what `[CONFIG.yaml] [--preset NAME] [--flag value ...]` asks for.

    Of a file only what says which rows, and how a model is trained on them.

    Raises: LiftError for bad input; the sentence names the flag.
    """
    parsed = parse_measured(
        MeasureArguments, arguments, name="measure-t", description=_DESCRIPTION,
        from_files=FROM_FILES | {*_TRAINED_SO, "corruption"},
    )  # fmt: skip
    parsed.data.check_source()
    return parsed


_DESCRIPTION = (
    "Measure at which diffusion times a model's loss on some rows is large or varies, and write the density that times "
    "are best drawn by: lift train --method ppots --time_density FILE. Nothing is trained. The rows are those that "
    "lift train has by the same flags, or by a run's config.yaml, of which only what says which rows, and attention, "
    "block_size, block_origin, time_epsilon, time_range, exclude_mask_token and corruption, is read."
)
