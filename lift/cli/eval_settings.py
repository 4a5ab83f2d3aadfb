"""The YAML file of `lift eval` and `lift sample`, whose keys are the names of their flags."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lift.cli.parser import SentenceParser, suggestion
from lift.cli.settings import Setting, flags_of, take_file
from lift.errors import LiftError


def read_options(parser: SentenceParser, arguments: Sequence[str]) -> Any:
    """Return the values of `[CONFIG.yaml] [--flag value ...]`; a flag of the command line wins over the file.

    Raises:
        LiftError: there is no such file, a key or a flag is unknown, or a value does not fit.
    """
    words, settings = take_file(arguments)
    known = [flag.removeprefix("--") for flag in parser.flags]
    for key, setting in settings.items():
        if key not in known:
            raise LiftError(f"{setting.origin}: unknown key {key!r}{suggestion(key, known, f'{parser.prog} --help')}")
    return parser.parse_args([*(word for setting in settings.values() for word in _flags_of(setting)), *words])


def _flags_of(setting: Setting) -> list[str]:
    """Return the words that set the same: tasks may be a list, and data_files a mapping from tasks to files."""
    key, value, _ = setting
    if key == "tasks" and isinstance(value, list):
        return [f"--tasks={','.join(map(str, value))}"]
    if key == "data_files" and isinstance(value, dict):
        return ["--data_files", *(f"{task}={path}" for task, path in value.items())]
    return flags_of(setting)
