"""Flags and YAML files of `lift train`, as dataclasses. A flag wins over the file, the file over the defaults."""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml
from transformers import HfArgumentParser

from lift.cli.sentence_parser import SentenceParser
from lift.data import DATA_FORMATS
from lift.errors import LiftError
from lift.models.lora import LoraArguments
from lift.recipes import PRESETS, preset_names
from lift.training.config import LiftConfig


@dataclass
class ModelArguments(LoraArguments):
    """Which model to fine-tune, and whether whole or by a LoRA adapter."""

    model_name_or_path: str | None = field(
        default=None,
        metadata={"help": "A folder, a Hub id, or package:NAME/FOLDER for weights inside an installed package."},
    )
    model_config: str | None = field(
        default=None,
        metadata={"help": "A configuration (mapping, JSON on the command line) to build a new model from instead."},
    )
    tokenizer_name_or_path: str | None = field(default=None, metadata={"help": "By default the model's own."})
    dtype: str = field(
        default="float32", metadata={"help": "float32, bfloat16, float16, or auto for that of the saved weights."}
    )
    trust_remote_code: bool = field(
        default=False, metadata={"help": "Run Python code that comes with the model, as LLaDA's and Dream's does."}
    )


@dataclass
class DataArguments:
    """Which rows to train on."""

    task: str | None = field(default=None, metadata={"help": "A built-in task that generates its own data: sudoku."})
    num_train_puzzles: int = field(default=20_000, metadata={"help": "Puzzles to train on (task sudoku)."})
    num_test_puzzles: int = field(default=1_000, metadata={"help": "Held-out puzzles to solve (task sudoku)."})
    test_puzzles: str | None = field(
        default=None,
        metadata={"help": "CSV file (Puzzle, Solution) to solve as well, kept out of training (task sudoku)."},
    )
    train_data: str | None = field(
        default=None, metadata={"help": "A .jsonl, .json or .parquet file, a saved data set's folder, or a Hub id."}
    )
    train_split: str | None = field(default=None, metadata={"help": "Split of train_data, for instance train."})
    eval_data: str | None = field(default=None, metadata={"help": "Rows to evaluate on; else rows of train_data."})
    eval_split: str | None = field(default=None, metadata={"help": "Split of eval_data."})
    data_name: str | None = field(
        default=None, metadata={"help": "Configuration of a Hub data set; unused for local files."}
    )
    num_eval_rows: int = field(
        default=100, metadata={"help": "Rows to evaluate on; taken from the end of train_data without eval_data."}
    )
    max_train_rows: int | None = field(default=None, metadata={"help": "Use only the first rows."})
    data_format: str | None = field(
        default=None,
        metadata={
            "help": f"Format of a public data set's rows: {', '.join(DATA_FORMATS)}. By default the columns decide."
        },
    )
    prompt_column: str | None = field(default=None, metadata={"help": "By default prompt."})
    completion_column: str | None = field(default=None, metadata={"help": "By default completion."})
    messages_column: str | None = field(default=None, metadata={"help": "By default messages."})
    prompt_boundary: Literal["generation_prompt", "user_turn_newline"] = field(
        default="generation_prompt",
        metadata={
            "help": "Where a chat template's prompt ends: where a sampler starts, or before the assistant's header, as "
            "in the published code."
        },
    )
    truncation: Literal["right", "filter"] = field(
        default="right", metadata={"help": "What to do with longer rows: right cuts their response, filter drops them."}
    )


@dataclass
class RunArguments:
    """How this run treats its output folder."""

    overwrite_output_dir: bool = field(
        default=False, metadata={"help": "Delete output_dir, with all an earlier run left there, and start anew."}
    )


GROUPS: tuple[Any, ...] = (ModelArguments, DataArguments, RunArguments, LiftConfig)


def parse(arguments: Sequence[str]) -> tuple[ModelArguments, DataArguments, RunArguments, LiftConfig]:
    """Read `[CONFIG.yaml] [--preset NAME] [--flag value ...]`.

    Raises:
        LiftError: an unknown flag, key or preset, a value of the wrong type, or no output_dir.
    """
    rest, defaults = _take_files(list(arguments))
    parser = _Parser(
        GROUPS,
        prog="lift train",
        usage="lift train [CONFIG.yaml] [--preset NAME] [--flag value ...]",
        conflict_handler="resolve",  # the TrainingArguments of transformers 4 have an overwrite_output_dir too
    )
    known = {f.name for group in GROUPS for f in dataclasses.fields(group) if f.init}
    for key in defaults:
        if key not in known:
            raise LiftError(f"unknown key {key!r} in the configuration{_suggestion(key, known)}.")
    flags = [word for key, value in defaults.items() for word in _as_flags(key, value)]
    namespace, unknown = parser.parse_known_args([*flags, *rest])
    if unknown:
        name = next((word for word in unknown if word.startswith("--")), unknown[0])
        raise LiftError(f"unknown argument {name!r}{_suggestion(name.lstrip('-'), known)}.")
    if namespace.output_dir is None:
        raise LiftError("no output folder: pass --output_dir FOLDER.")
    values = vars(namespace)
    groups = []
    for group in GROUPS:
        names = {f.name for f in dataclasses.fields(group) if f.init}
        try:
            groups.append(group(**{name: values[name] for name in names if name in values}))
        except LiftError:
            raise
        except ValueError as error:
            raise LiftError(" ".join(str(error).split())) from None
    return tuple(groups)


def _take_files(words: list[str]) -> tuple[list[str], dict[str, Any]]:
    """Split off the YAML file and the preset; return the other words and the merged mapping."""
    merged: dict[str, Any] = {}
    words = [part for word in words for part in (word.split("=", 1) if word.startswith("--preset=") else [word])]
    if "--preset" in words:
        at = words.index("--preset")
        name = words[at + 1] if at + 1 < len(words) else ""
        if name not in preset_names():
            raise LiftError(f"unknown preset {name!r}: use one of {', '.join(preset_names())}.")
        merged |= _read_yaml(name, (PRESETS / f"{name}.yaml").read_text("utf-8"))
        del words[at : at + 2]
    if words and not words[0].startswith("-"):
        path = Path(words.pop(0))
        if not path.is_file():
            raise LiftError(f"no configuration file at {path}: check the path, or use --preset NAME.")
        merged |= _read_yaml(str(path), path.read_text("utf-8"))
    return words, merged


def _read_yaml(name: str, text: str) -> dict[str, Any]:
    try:
        mapping = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise LiftError(f"{name} is not valid YAML: {' '.join(str(error).split())}.") from None
    if not isinstance(mapping, dict):
        raise LiftError(f"{name} must hold 'key: value' lines, got a {type(mapping).__name__}.")
    return mapping


def _as_flags(key: str, value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, dict):
        return [f"--{key}", json.dumps(value)]
    if isinstance(value, list):
        return [f"--{key}", *map(str, value)]
    return [f"--{key}", str(value)]


def _suggestion(name: str, known: set[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f", did you mean {close[0]!r}?" if close else ": lift train --help lists what there is"


class _Parser(SentenceParser, HfArgumentParser):
    """HfArgumentParser with our errors."""
