"""`~` in the values of flags that name files and folders: a shell expands it at the start of a word alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

# By what argparse calls them, of all commands.
_PATHS = frozenset(
    {
        "model", "model_name_or_path", "tokenizer_name_or_path", "peft", "base", "start", "output_dir", "output",
        "logging_dir", "resume_from_checkpoint", "train_data", "eval_data", "test_puzzles", "chat_template",
        "time_density", "deepspeed", "fsdp_config", "accelerator_config", "prompts", "save", "plot", "page", "runs",
        "compare",
    }
)  # fmt: skip
_TASKS = frozenset({"tasks", "eval_tasks"})  # with commas between, and some of them files
_PAIRS = frozenset({"data_files", "eval_task_files"})  # TASK=FILE


def expand_home(values: Any) -> None:
    """Write out `~` and `~user` in the parsed values of flags that name files and folders."""
    for name, value in vars(values).items():
        if name in _PATHS | _TASKS | _PAIRS:
            setattr(values, name, _expanded(name, value))


def _expanded(name: str, value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_expanded(name, item) for item in value]
    if isinstance(value, Path):
        return Path(os.path.expanduser(value))
    if not isinstance(value, str) or "~" not in value:
        return value
    if name in _TASKS:
        return ",".join(os.path.expanduser(task.strip()) for task in value.split(","))
    if name in _PAIRS:
        return "=".join(os.path.expanduser(side) for side in value.split("=", 1))
    return os.path.expanduser(value)
