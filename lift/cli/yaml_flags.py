"""The YAML file of `lift eval` and `lift sample`, whose keys are the names of their flags."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lift.cli.parser import SentenceParser, suggestion
from lift.cli.settings import Setting, check_value, flags_of, take_file
from lift.cli.yaml_mapping import in_words
from lift.errors import LiftError

# Flags whose value is text: YAML reads 0204 as a number in base eight, and would change it in silence.
_TEXTS = ("prompt", "system")


def read_options(parser: SentenceParser, arguments: Sequence[str]) -> Any:
    """Return the values of `[CONFIG.yaml] [--flag value ...]`; a flag of the command line wins over the file.

    Raises:
        LiftError: there is no such file, a key or a flag is unknown, or a value does not fit; the sentence names the
            flag as it was typed, or the file and its key.
    """
    words, settings = take_file(arguments)
    known = [flag.removeprefix("--") for flag in parser.flags]
    flags: list[str] = []
    for key, setting in settings.items():
        if key not in known:
            raise LiftError(f"{setting.origin}: unknown key {key!r}{suggestion(key, known, f'{parser.prog} --help')}")
        check_value(setting, own := _flags_of(setting), parser)
        # --prompt adds to the prompts before it.
        if not any(word.partition("=")[0] == f"--{key}" for word in words):
            flags += own
    return parser.parse_args([*flags, *words])


def _flags_of(setting: Setting) -> list[str]:
    """Return the words that set the same: tasks and prompt may be lists, and data_files a mapping from tasks to files.

    Raises:
        LiftError: text is no text, or a list holds other things than plain values.
    """
    key, value, origin = setting
    items = value if isinstance(value, list) else [] if value is None else [value]
    if key in _TEXTS:
        for item in items:
            if not isinstance(item, str):
                raise LiftError(f"{origin}: {key} must be text, got {in_words(item)}: put it in quotes.")
    if key == "prompt":
        return [f"--prompt={prompt}" for prompt in items]
    if key == "tasks" and isinstance(value, list):
        return [f"--tasks={','.join(map(str, value))}"]
    if key == "data_files" and isinstance(value, dict):
        return ["--data_files", *(f"{task}={path}" for task, path in value.items())]
    return flags_of(setting)
