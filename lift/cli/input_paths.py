"""The files and folders that a run of `lift train` reads, by the flags that name them. It imports no torch."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

PATHS = (
    "model_name_or_path", "tokenizer_name_or_path", "train_data", "eval_data", "test_puzzles", "chat_template",
    "time_density", "deepspeed", "fsdp_config", "accelerator_config",
)  # fmt: skip
"""Fields that may name a file or a folder."""


def input_paths(settings: Mapping[str, Any], command: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """Yield each file and folder that a run reads and that is there, beside what names it.

    Args:
        settings: values by the name of their flag, as parsed.
        command: the words after `lift train`, the first of which may be a configuration file.
    """
    named = [(name, _items(settings.get(name))) for name in PATHS]
    named.append(
        ("eval_tasks", [task.strip() for item in _items(settings.get("eval_tasks")) for task in item.split(",")])
    )
    named.append(("eval_task_files", [item.partition("=")[2] for item in _items(settings.get("eval_task_files"))]))
    if command and not command[0].startswith("-"):
        named.append(("the configuration", [command[0]]))
    for name, items in named:
        for item in items:
            for path in _found(item):
                yield name, path


def _items(value: Any) -> list[str]:
    items = value if isinstance(value, (list, tuple)) else [value]
    return [item for item in items if isinstance(item, str)]


def _found(item: str) -> list[Path]:
    """Return what a path or a pattern stands for; nothing of a name on the Hub, of text and of JSON."""
    if not item:
        return []
    path = Path(item).expanduser()
    try:
        if path.exists():
            return [path]
        return [Path(match) for match in glob.glob(str(path), recursive=True)] if glob.has_magic(item) else []
    except (OSError, ValueError):  # too long for a path, or with a null character
        return []
