"""The prompts of `lift sample`: from the command, from standard input, or from a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from lift.data.json_rows import parse_json_lines, read_json_lines
from lift.data.text_files import format_of, open_text
from lift.errors import LiftError

Row = dict[str, Any]


def read_prompts(given: Sequence[str] | None, source: str | None) -> list[Row]:
    """Return a row for each prompt, its text under "prompt", with whatever else stands beside it in a file.

    Args:
        given: prompts of the command.
        source: a .jsonl file of objects with `prompt`, a .txt file with a prompt a line, either also as .gz; or "-" for
            standard input, which holds objects where its first line begins with a brace.

    Raises: LiftError if there is no prompt, there are two sources, a line holds none, or several
        processes would share standard input; the sentence names it.
    """
    if source == "-" and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise LiftError("several processes cannot share standard input: pass --prompts FILE.")
    if given and source is not None:
        raise LiftError("--prompt and --prompts both say what to complete: leave one out.")
    if given:
        return [{"prompt": prompt} for prompt in given]
    if source is None:
        raise LiftError("no prompt: pass --prompt TEXT, --prompts FILE, or --prompts - for standard input.")
    name = "standard input" if source == "-" else source
    try:
        rows = _read_input() if source == "-" else _read_file(Path(source))
    except UnicodeDecodeError as error:
        raise LiftError(f"{name} cannot be read as text in UTF-8: {error}.") from None
    if not rows:
        raise LiftError(f"{name} has no prompt: at least one is needed.")
    for number, row in enumerate(rows):
        if not isinstance(row.get("prompt"), str):
            raise LiftError(f"{name}: row {number} (counted from 0) has no text under 'prompt'.")
    return rows


def _read_input() -> list[Row]:
    lines = list(sys.stdin)
    if next((line for line in lines if line.strip()), "").lstrip().startswith("{"):
        return parse_json_lines(lines, "standard input")
    return _of_lines(lines)


def _read_file(path: Path) -> list[Row]:
    if not path.is_file():
        raise LiftError(f"no prompts at {path}: check the path.")
    if format_of(path) == ".jsonl":
        return read_json_lines(path)
    if format_of(path) == ".txt":
        with open_text(path) as file:
            return _of_lines(file)
    raise LiftError(f"{path} must end in .jsonl or .txt, either also with .gz.")


def _of_lines(lines: Iterable[str]) -> list[Row]:
    # The lines of a file: str.splitlines would split a prompt at a form feed or U+2028 too.
    return [{"prompt": line.removesuffix("\n")} for line in lines if line.strip()]
