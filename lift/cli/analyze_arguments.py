"""The flags of `lift analyze`: its own, and those of `lift train` that say which rows there are. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lift.cli.measured_arguments import FROM_FILES, MeasuredArguments, Parsed, parse_measured
from lift.cli.settings import take_settings
from lift.cli.variance_arguments import OBJECTIVE, check_objective, methods_of, with_objective
from lift.errors import LiftError
from lift.fields import check_fields, check_range, option


@dataclass
class AnalyzeArguments(MeasuredArguments):
    """What to analyse, and how."""

    output_dir: str | None = option(None, "Folder of the table and its report; a table that was begun goes on.")
    compare: list[str] | None = option(
        None,
        "Two output_dir of lift analyze, with the same rows, ratios and seed: report what the second model gained. "
        "Nothing is measured.",
    )
    limit: int | None = option(None, "Analyse the first rows only.", within="[1, inf)")
    ratios: list[float] | None = option(
        None, "Mask ratios, each above 0 and at most 1; by default the six discrete times of LIFT."
    )

    variance: list[str] | None = option(
        None,
        "Methods, with commas between, such as sft,lift3: measure too how much the gradient of each varies over masks, "
        "times and rows.",
    )
    variance_rows: int = option(64, "Rows that variance draws, at most; an even number.", within="[4, inf)")
    variance_times: int = option(2, "Times of each of these rows.", within="[2, inf)")
    variance_masks: int = option(2, "Masks at each of these times.", within="[2, inf)")

    def __post_init__(self) -> None:
        check_fields(self, AnalyzeArguments)
        if self.variance is not None:
            self.variance = methods_of(self.variance)
            if self.variance_rows % 2:
                raise LiftError(f"variance_rows must be an even number, as rows are paired, got {self.variance_rows}.")
            if self.compare is not None:
                raise LiftError("compare measures nothing: leave variance out.")
        for ratio in self.ratios or ():
            check_range("ratios", ratio, "(0, 1]")
        if not self.output_dir:
            raise LiftError("no output folder: pass --output_dir FOLDER.")
        if self.compare is None and not self.model:
            raise LiftError("no model: pass --model FOLDER_OR_HUB_ID, or --compare with two tables.")
        if self.compare is not None and len(self.compare) != 2:
            raise LiftError(f"compare must be two folders of lift analyze, got {len(self.compare)}.")


def parse(arguments: Sequence[str]) -> Parsed:
    """Return what `[CONFIG.yaml] [--preset NAME] [--flag value ...]` asks for.

    Of a file only what says which rows, and how the objective forms a gradient, is taken.

    Raises: LiftError for bad input; the sentence names the flag.
    """
    own = with_objective(AnalyzeArguments)
    names = FROM_FILES.union(OBJECTIVE)
    parsed = parse_measured(own, arguments, name="analyze", description=_DESCRIPTION, from_files=names)
    check_objective(parsed.own, take_settings(arguments)[0])
    if parsed.own.compare is None:
        parsed.data.check_source()
    return parsed


_DESCRIPTION = (
    "See what a model knows of the masked tokens of some rows, by mask ratio and token frequency: a Parquet table of "
    "every masked token, figures, and analysis.html; with --variance, how noisy its gradients are too. The rows are "
    "those that lift train has by the same flags, or by a run's config.yaml, of which only what says which rows, and "
    "what --variance needs, is read. A killed run goes on where it was, on any number of processes: "
    "accelerate launch --num_processes 2 -m lift.cli analyze ..."
)
