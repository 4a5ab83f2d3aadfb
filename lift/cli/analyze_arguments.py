"""The flags of `lift analyze`: its own, and those of `lift train` that say which rows there are. Imports no torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from lift.cli.arguments import DataArguments
from lift.cli.field_parser import FieldParser
from lift.cli.settings import take_settings
from lift.errors import LiftError
from lift.fields import check_fields, check_range, option
from lift.tasks import TASKS, task_arguments


@dataclass
class AnalyzeArguments:
    """What to analyse, and how."""

    model: str | None = option(None, "Folder or Hub id of a model and its tokenizer, or an adapter's folder.")
    output_dir: str | None = option(None, "Folder of the table and its report; a table that was begun goes on.")
    compare: list[str] | None = option(
        None,
        "Two output_dir of lift analyze, with the same rows, ratios and seed: report what the second model gained. "
        "Nothing is measured.",
    )
    rows: Literal["train", "eval"] = option(
        "train", "Of the rows that lift train would have: those to train on, or those held out."
    )
    limit: int | None = option(None, "Analyse the first rows only.", within="[1, inf)")
    ratios: list[float] | None = option(
        None, "Mask ratios, each above 0 and at most 1; by default the six discrete times of LIFT."
    )
    batch_size: str = option("auto", "Rows a forward, or auto: 64, halved where memory runs out.")
    peft: str | None = option(None, "Folder of an adapter to put into the model, unmerged.")
    dtype: Literal["float32", "bfloat16", "float16", "auto"] = option(
        "auto", "Of the weights; auto takes that of the saved ones."
    )
    trust_remote_code: bool = option(False, "Run Python code that comes with the model.")
    mask_token_id: int | None = option(None, "By default the one trained with.", within="[0, inf)")
    max_length: int = option(4096, "Most tokens of a row, as in training.", within="[1, inf)")
    seed: int = option(42, "Of the masks, and of the rows of a built-in task.", within="[0, inf)")

    def __post_init__(self) -> None:
        check_fields(self, AnalyzeArguments)
        for ratio in self.ratios or ():
            check_range("ratios", ratio, "(0, 1]")
        if not self.output_dir:
            raise LiftError("no output folder: pass --output_dir FOLDER.")
        if self.compare is None and not self.model:
            raise LiftError("no model: pass --model FOLDER_OR_HUB_ID, or --compare with two tables.")
        if self.compare is not None and len(self.compare) != 2:
            raise LiftError(f"compare must be two folders of lift analyze, got {len(self.compare)}.")


class Parsed(NamedTuple):
    """What the command line and the files say."""

    own: AnalyzeArguments
    data: DataArguments
    task: Any
    """The flags of a built-in task; None without one."""


_FROM_FILES = {"max_length", "seed", "trust_remote_code", "mask_token_id"}
"""What is taken from the configuration of a training beside its rows."""


def parse(arguments: Sequence[str]) -> Parsed:
    """Return what `[CONFIG.yaml] [--preset NAME] [--flag value ...]` asks for; of a file only what says which rows.

    Raises: LiftError for bad input; the sentence names the flag.
    """
    words, settings = take_settings(arguments)
    named = _task(words) or next((str(setting.value) for setting in settings if setting.key == "task"), None)
    task_group = [] if named not in TASKS else [task_arguments(named)]
    groups = [AnalyzeArguments, DataArguments, *task_group]
    of_rows = {field.name for group in groups[1:] for field in dataclasses.fields(group)} | _FROM_FILES
    parser = FieldParser(
        groups, prog="lift analyze", usage="lift analyze [CONFIG.yaml] [--preset NAME] [--flag value ...]",
        description=_DESCRIPTION, add_help=True,
    )  # fmt: skip
    values = parser.parse(words, [setting for setting in settings if setting.key in of_rows])
    own, data, *task = (
        group(**{field.name: values[field.name] for field in dataclasses.fields(group)}) for group in groups
    )
    if own.compare is None:
        data.check_source()
    return Parsed(own, data, task[0] if task else None)


_DESCRIPTION = (
    "See what a model knows of the masked tokens of some rows, by mask ratio and token frequency: a Parquet table of "
    "every masked token, figures, and analysis.html. The rows are those that lift train has by the same flags, or by a "
    "run's config.yaml, of which nothing else is read. A killed run goes on where it was, on any number of processes: "
    "accelerate launch --num_processes 2 -m lift.cli analyze ..."
)


def _task(words: Sequence[str]) -> str | None:
    """Return the task that the command line names: which flags there are depends on it."""
    for place, word in enumerate(words):
        if word.startswith("--task="):
            return word.partition("=")[2]
        if word == "--task" and place + 1 < len(words):
            return words[place + 1]
    return None
