"""`config.yaml` in a run's folder: what the run was told, for `lift train OUT/config.yaml --output_dir NEW`."""

from __future__ import annotations

import glob
import json
import shlex
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

import yaml

from lift.cli.input_paths import PATHS
from lift_kernels import __version__

FILE = "config.yaml"

# What says how one start treats its folder, what a launcher tells a process, and what must not be passed on.
_LEFT_OUT = ("overwrite_output_dir", "local_rank", "hub_token", "push_to_hub_token")
_SECRETS = ("hub_t", "push_to_hub_t")  # how their flags begin, as argparse takes abbreviations


def config_text(settings: Mapping[str, Any], command: Sequence[str]) -> str:
    """Return the YAML of a run's settings, with its command in a comment.

    Paths of files are absolute. Left out are overwrite_output_dir, a resume from the run's own folder, tokens of the
    Hub and what a launcher sets.

    Args:
        settings: values by the name of their flag, as parsed: `TrainArguments.settings`.
        command: the words after `lift train`.
    """
    output = Path(settings["output_dir"]).expanduser().absolute()
    head = (
        f"# What this run was told. lift-kernels {__version__} wrote it when the run started:\n"
        f"#   {command_line(command)}\n"
        "# Again, from any folder:\n"
        f"#   {command_line([str(output / FILE), '--output_dir', 'NEW'])}\n"
    )
    return head + settings_text(settings)


def settings_text(settings: Mapping[str, Any]) -> str:
    """Return the lines of `config_text`, without its comment."""
    output = Path(settings["output_dir"]).expanduser().absolute()
    kept: dict[str, Any] = {}
    for name, value in settings.items():
        if name in _LEFT_OUT or value is None:
            continue
        if name == "output_dir":
            kept[name] = str(output)
        elif name == "resume_from_checkpoint":
            if (folder := _other_folder(str(value), output)) is not None:
                kept[name] = str(folder)
        elif name == "eval_task_files":
            pairs = (pair.partition("=") for pair in value)
            kept[name] = [f"{_absolute_task(task)}={_absolute(file)}" for task, _, file in pairs]
        elif name == "eval_tasks":
            kept[name] = ",".join(_absolute_task(task.strip()) for task in value.split(","))
        else:
            # What is there is named from the root, so that any folder will do to run in.
            kept[name] = _absolute(value) if name in PATHS else _readable(value)
    return yaml.safe_dump(kept, sort_keys=False, allow_unicode=True, width=120)


def command_line(words: Sequence[str]) -> str:
    """Return `lift train` with these words as one line for a shell, without the values of secrets."""
    shown = []
    hides_next = False
    for word in words:
        name, equals, _ = word.partition("=")
        is_secret = word.startswith("--") and name.lstrip("-").replace("-", "_").startswith(_SECRETS)
        shown.append("***" if hides_next else f"{name}=***" if is_secret and equals else _quoted(word))
        hides_next = is_secret and not equals
    return " ".join(["lift", "train", *shown])


def _quoted(word: str) -> str:
    if word.isprintable():
        return shlex.quote(word)
    escaped = word.encode("unicode_escape").decode().replace("'", "\\'")
    return f"$'{escaped}'"  # a line break would end the comment


def _other_folder(resume_from: str, output: Path) -> Path | None:
    """Return the checkpoint's folder unless it is one of the run itself, which starts anew elsewhere."""
    if resume_from.lower() in ("true", "false"):
        return None
    folder = Path(resume_from).absolute()
    return None if folder.resolve().is_relative_to(output.resolve()) else folder


def _absolute(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_absolute(item) for item in value]
    is_there = isinstance(value, str) and value and (Path(value).exists() or _matches(value))
    return str(Path(value).absolute()) if is_there else _readable(value)


def _absolute_task(task: str) -> str:
    """Return the name of a task, or where its YAML file is; a folder that is called like a task is none of it."""
    return str(Path(task).absolute()) if task.endswith((".yaml", ".yml")) and Path(task).is_file() else task


def _matches(pattern: str) -> bool:
    return glob.has_magic(pattern) and next(glob.iglob(pattern, recursive=True), None) is not None


def _readable(value: Any) -> Any:
    """Return a parsed value as YAML has it: a mapping for JSON, where reading that gives the same JSON."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (list, tuple)):
        return [_readable(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)  # logging_steps, say, may be a share of the steps, so 20 is parsed as 20.0
    if isinstance(value, str) and value.startswith("{"):
        try:
            mapping = json.loads(value)
        except ValueError:
            return value
        return mapping if isinstance(mapping, dict) and json.dumps(mapping) == value else value
    return value
