"""The help of `lift train`: the flags that most runs use, or all of them, by subject. Imports no torch."""

from __future__ import annotations

import dataclasses
import shutil
import textwrap
from collections.abc import Iterable
from dataclasses import MISSING, Field
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from lift.cli.arguments import DataArguments, ModelArguments, RunArguments
from lift.cli.transformers_source import training_arguments
from lift.models.lora import LoraArguments
from lift.objectives import LiftOptions
from lift.recipes import preset_summaries
from lift.tasks import TASKS, task_arguments
from lift.training.batch_options import BatchOptions, TrainerDefaults

_USAGE = "usage: lift train [CONFIG.yaml] [--preset NAME] [--flag value ...]"
_ABOUT = (
    "Fine-tune a masked diffusion language model. CONFIG.yaml holds lines 'flag: value'. A flag wins over the file, "
    "the file over the preset, the preset over the defaults. BOOL is true or false; --flag alone means true."
)
_EXAMPLES = (
    "lift train --preset sudoku --output_dir out",
    "lift train --model_name_or_path bert-base-uncased --train_data rows.jsonl \\\n      --output_dir out",
    "lift train mine.yaml --method sft --learning_rate 1e-5 --output_dir out",
    "lift train mine.yaml --dry_run true",
)
_FIRST = {
    "model": ("model_name_or_path", "trust_remote_code"),
    "data": ("task", "train_data", "prompt_column", "completion_column", "max_length"),
    "LIFT": ("method", "one_forward", "mask_token_id"),
    "LoRA": ("use_peft", "lora_r"),
    "run": (
        "output_dir", "learning_rate", "num_train_epochs", "max_steps", "per_device_train_batch_size",
        "gradient_accumulation_steps", "bf16", "resume_from_checkpoint",
    ),
}  # fmt: skip
# Shorter than what transformers says of them.
_IN_SHORT = {
    "output_dir": "Folder for the model and all that is known of the run; new or empty.",
    "learning_rate": "Highest learning rate.",
    "num_train_epochs": "Passes over the rows.",
    "max_steps": "Optimiser steps; if above 0, instead of passes.",
    "per_device_train_batch_size": "Rows that a device holds at once.",
    "gradient_accumulation_steps": "Such batches to an optimiser step.",
    "bf16": "Compute in bfloat16.",
    "resume_from_checkpoint": "A checkpoint's folder, a run's for its newest, or true for that of output_dir.",
}
_VALUES = {bool: "[BOOL]", int: "INT", float: "NUMBER", str: "TEXT"}


def show_help(*, everything: bool = False) -> None:
    """Print the help, as wide as the terminal: `--help`, or with `everything` `--help-all`."""
    width = min(max(shutil.get_terminal_size().columns, 72), 100)
    lines = [_USAGE, "", *textwrap.wrap(_ABOUT, width)]
    for title, flags in (_all_groups() if everything else _first_groups()).items():
        lines += ["", f"{title}:", *(line for flag in flags for line in _entry(*flag, width))]
    lines += ["", "presets:", *(line for entry in preset_summaries().items() for line in _entry(*entry, width))]
    lines += ["", "examples:", *(f"  {example}" for example in _EXAMPLES), ""]
    if not everything:
        lines.append("lift train --help-all lists every flag, lift methods what each method trains on.")
    print("\n".join(lines).rstrip())


def _first_groups() -> dict[str, list[tuple[str, str]]]:
    known = {field.name: (field, group) for group in _groups() for field in dataclasses.fields(group)}
    return {
        title: [_described(*known[name], _IN_SHORT.get(name)) for name in names if name in known]
        for title, names in _FIRST.items()
    }


def _all_groups() -> dict[str, list[tuple[str, str]]]:
    lora = {field.name for field in dataclasses.fields(LoraArguments)}
    titled: dict[str, list[type[Any]]] = {
        "model": [ModelArguments], "LoRA": [LoraArguments], "data": [DataArguments],
        **{f"data of task {task}": [task_arguments(task)] for task in TASKS},
        "LIFT": [LiftOptions], "batches": [BatchOptions],
        "run (most of it transformers.TrainingArguments)": [RunArguments, TrainerDefaults, *_theirs()],
    }  # fmt: skip
    shown: set[str] = set()
    flags: dict[str, list[tuple[str, str]]] = {title: [] for title in titled}
    for title, group in ((title, group) for title, members in titled.items() for group in members):
        for field in dataclasses.fields(group):
            # Tasks may have flags of one name, and each says what it means there.
            is_new = field.name not in shown or title.startswith("data of task")
            if is_new and not (group is ModelArguments and field.name in lora):
                shown.add(field.name)
                flags[title].append(_described(field, group))
    return flags


def _groups() -> list[type[Any]]:
    """Return the dataclasses of all flags, those last whose fields win."""
    return [*_theirs(), ModelArguments, DataArguments, RunArguments, LiftOptions, TrainerDefaults, BatchOptions]


def _theirs() -> list[type[Any]]:
    theirs = training_arguments()
    return [] if theirs is None else [theirs]


def _described(field: Field[Any], group: type[Any], help: str | None = None) -> tuple[str, str]:
    """Return a flag with its values, and its help with its default."""
    values = _values(get_type_hints(group)[field.name])
    default = field.default if field.default_factory is MISSING else " ".join(map(str, field.default_factory()))
    text = help or field.metadata.get("help", "").replace("%%", "%")
    if default not in (None, MISSING, ""):
        text += f" (default: {str(default).lower() if isinstance(default, bool) else default})"
    return f"--{field.name} {values}", text


def _values(kind: Any) -> str:
    """Return what stands for a flag's value in the help, such as INT or right|filter."""
    if get_origin(kind) in (Union, UnionType):
        kinds = [member for member in get_args(kind) if member is not type(None)]
        kind = str if str in kinds else kinds[0]
    if get_origin(kind) is Literal:
        return "|".join(map(str, get_args(kind)))
    if get_origin(kind) is list:
        return f"{_values(get_args(kind)[0])} ..."
    return _VALUES.get(kind, "TEXT")


def _entry(name: str, text: str, width: int, indent: int = 32) -> Iterable[str]:
    """Yield the lines of one flag: its name, and its help beside or below it."""
    wrapped = textwrap.wrap(text, width - indent, break_on_hyphens=False) or [""]
    if len(name) > indent - 4:
        yield f"  {name}"
    else:
        yield f"  {name}".ljust(indent) + wrapped.pop(0)
    yield from (" " * indent + line for line in wrapped)
