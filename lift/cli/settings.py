"""Configuration files: the preset of `lift train` and YAML files, as settings of one flag each."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lift.cli.parser import SentenceParser, suggestion
from lift.cli.yaml_mapping import in_words, read_mapping
from lift.errors import LiftError
from lift.recipes import PRESETS, preset_names
from lift.tasks import tasks_with_flag


class Setting(NamedTuple):
    """One `key: value` of a file."""

    key: str
    value: Any
    origin: str
    """The file's path, or `preset NAME`."""


def take_settings(words: Sequence[str]) -> tuple[list[str], list[Setting]]:
    """Take `CONFIG.yaml`, which comes first, and `--preset NAME` out of the words of a command line.

    Returns: the other words, and the settings; the file's win over the preset's.

    Raises:
        LiftError: there is no such preset or file, or it does not hold `key: value` lines.
    """
    rest = [part for word in words for part in (word.split("=", 1) if word.startswith("--preset=") else [word])]
    settings: dict[str, Setting] = {}
    if "--preset" in rest:
        at = rest.index("--preset")
        name = rest[at + 1] if at + 1 < len(rest) else ""
        if name not in preset_names():
            raise LiftError(f"unknown preset {name!r}: use one of {', '.join(preset_names())}.")
        settings |= _read(f"preset {name}", (PRESETS / f"{name}.yaml").read_text("utf-8"))
        del rest[at : at + 2]
        if "--preset" in rest:
            raise LiftError("--preset can be given once; a configuration file and flags change what it sets.")
    rest, of_file = take_file(rest, "check the path, or use --preset NAME")
    return rest, list((settings | of_file).values())


def take_file(words: Sequence[str], remedy: str = "check the path") -> tuple[list[str], dict[str, Setting]]:
    """Take `CONFIG.yaml`, which comes first, out of the words of a command line.

    Returns: the other words, and the settings by their keys.

    Raises:
        LiftError: there is no such file, which the sentence follows by a `remedy`, or it holds no `key: value` lines.
    """
    if not words or words[0].startswith("-"):
        return list(words), {}
    path = Path(os.path.expanduser(words[0]))
    if not path.is_file():
        raise LiftError(f"no configuration file at {path}: {remedy}.")
    return list(words[1:]), _read(str(path), read_text(path, str(path)))


def read_text(path: Path, shown: str) -> str:
    """Return what a file holds.

    Raises:
        LiftError: it cannot be read, or is not UTF-8; the sentence calls it `shown`.
    """
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LiftError(f"{shown} cannot be read as text in UTF-8: {error}.") from None


def flags_of(setting: Setting) -> list[str]:
    """Return the words that set the same on a command line; null leaves a flag at its default.

    Raises:
        LiftError: a list holds other things than plain values.
    """
    key, value, origin = setting
    if value is None:
        return []
    if isinstance(value, dict):
        return [f"--{key}={json.dumps(value, default=str)}"]
    if isinstance(value, list):
        if strange := [item for item in value if item is None or isinstance(item, (dict, list))]:
            raise LiftError(f"{origin}: {key} must be a list of plain values, got {in_words(strange[0])} in it.")
        return [f"--{key}", *map(str, value)]
    return [f"--{key}={value}"]


def check_value(setting: Setting, words: Sequence[str], parser: SentenceParser) -> None:
    """Parse the words of a setting by themselves, so that the sentence can name its file.

    Raises:
        LiftError: its value does not fit, or there are several where the flag takes one.
    """
    try:
        unknown = parser.parse_apart(words)
    except LiftError as error:
        sentence = str(error).removeprefix("--")
        if isinstance(setting.value, bool):
            sentence += " YAML reads yes, no, on and off as true and false: put the word in quotes."
        raise LiftError(f"{setting.origin}: {sentence}") from None
    if unknown:
        raise LiftError(f"{setting.origin}: {setting.key} takes one value, got a list of {len(setting.value)}.")


def check_keys(settings: Sequence[Setting], known: Collection[str]) -> None:
    """Raise LiftError on the first key that is not among the `known` names of flags."""
    for key, value, origin in settings:
        if key in known:
            continue
        inner = value if isinstance(value, dict) else {}
        flat = [f"{name}: {inner[k]}" for k in inner for name in (f"{key}_{k}", str(k)) if name in known]
        if flat:
            raise LiftError(f"{origin}: unknown key {key!r}, and keys are not nested: write {', '.join(flat)}.")
        if tasks := tasks_with_flag(key):
            raise LiftError(
                f"{origin}: {key} belongs to task {' or '.join(tasks)}: add task: {tasks[0]}, or leave it out."
            )
        raise LiftError(f"{origin}: unknown key {key!r}{suggestion(key, known, 'lift train --help-all')}")


def _read(origin: str, text: str) -> dict[str, Setting]:
    return {key: Setting(key, value, origin) for key, value in read_mapping(origin, text).items()}
