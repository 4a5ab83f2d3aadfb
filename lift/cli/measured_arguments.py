"""The flags of commands that ask a model about rows: their own, and those of `lift train` that say which rows.

Imports no torch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from lift.cli.arguments import DataArguments
from lift.cli.field_parser import FieldParser
from lift.cli.settings import take_settings
from lift.fields import option
from lift.tasks import TASKS, task_arguments


@dataclass
class MeasuredArguments:
    """Which model is asked, and about which of the rows."""

    model: str | None = option(None, "Folder or Hub id of a model and its tokenizer, or an adapter's folder.")
    tokenizer_name_or_path: str | None = option(None, "A folder or a Hub id; by default the model's own.")
    rows: Literal["train", "eval"] = option(
        "train", "Of the rows that lift train would have: those to train on, or those held out."
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


FROM_FILES = frozenset({"max_length", "seed", "trust_remote_code", "mask_token_id"})
"""What is taken from the configuration of a training beside its rows."""


class Parsed(NamedTuple):
    """What the command line and the files say."""

    own: Any
    """Of the command's own class, a `MeasuredArguments`."""

    data: DataArguments
    task: Any
    """The flags of a built-in task; None without one."""


def parse_measured(
    own: type[MeasuredArguments], arguments: Sequence[str], *, name: str, description: str,
    from_files: Collection[str] = FROM_FILES,
) -> Parsed:  # fmt: skip
    """Return what `[CONFIG.yaml] [--preset NAME] [--flag value ...]` asks the command `name` for.

    Args:
        own: the flags that are the command's own.
        arguments: the words behind the command.
        name: of the command.
        description: of its help.
        from_files: which of its own flags a file of `lift train` sets, beside those that say which rows.

    Raises: LiftError for bad input; the sentence names the flag.
    """
    words, settings = take_settings(arguments)
    named = _task(words) or next((str(setting.value) for setting in settings if setting.key == "task"), None)
    task_group = [] if named not in TASKS else [task_arguments(named)]
    groups: list[type[Any]] = [own, DataArguments, *task_group]
    known = {field.name for group in groups[1:] for field in dataclasses.fields(group)} | set(from_files)
    parser = FieldParser(
        groups, prog=f"lift {name}", usage=f"lift {name} [CONFIG.yaml] [--preset NAME] [--flag value ...]",
        description=description, add_help=True,
    )  # fmt: skip
    values = parser.parse(words, [setting for setting in settings if setting.key in known])
    mine, data, *task = (
        group(**{field.name: values[field.name] for field in dataclasses.fields(group)}) for group in groups
    )
    return Parsed(mine, data, task[0] if task else None)


def _task(words: Sequence[str]) -> str | None:
    """Return the task that the command line names: which flags there are depends on it."""
    for place, word in enumerate(words):
        if word.startswith("--task="):
            return word.partition("=")[2]
        if word == "--task" and place + 1 < len(words):
            return words[place + 1]
    return None
