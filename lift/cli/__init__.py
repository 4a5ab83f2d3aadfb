"""The command `lift`: one module for each subcommand, loaded only when it runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

_COMMANDS = {
    "train": "fine-tune a model: lift train --preset sudoku --output_dir out",
    "sample": "complete prompts with a trained model: lift sample --model out --prompt 3102200002100320",
    "merge": "put a LoRA adapter into its base model: lift merge --model out --output_dir merged",
    "presets": "list the presets of lift train",
    "methods": "list the methods of lift train",
    "doctor": "say what this machine has and which backend each device gets",
}

_USAGE = "usage: lift COMMAND [arguments]\n\ncommands:\n" + "".join(
    f"  {name:<9}{description}\n" for name, description in _COMMANDS.items()
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand. Returns 0, or 2 after one sentence on bad input."""
    command, *rest = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if command in ("-h", "--help"):
        print(_USAGE + "\nlift COMMAND --help explains one of them.")
        return 0
    if command == "--version":
        print(f"lift-kernels {_version()}")
        return 0
    if command not in _COMMANDS:
        return _fail("lift", f"unknown command {command!r}: use one of {', '.join(_COMMANDS)}.")
    from lift.errors import LiftError

    try:
        import_module(f"lift.cli.{command}").run(rest)
    except LiftError as error:
        return _fail(f"lift {command}", str(error))
    except ModuleNotFoundError as error:
        if error.name in ("transformers", "accelerate", "datasets", "yaml", "rich", "tqdm"):
            return _fail(f"lift {command}", f"{error.name} is not installed: pip install 'lift-kernels[train]'.")
        raise
    except KeyboardInterrupt:
        return 130
    return 0


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # a tenth of a second

    try:
        return version("lift-kernels")
    except PackageNotFoundError:  # a checkout that is not installed; the other way first, as this one loads torch
        from lift_kernels import __version__

        return __version__


def _fail(program: str, sentence: str) -> int:
    print(f"{program}: {sentence}", file=sys.stderr)
    return 2
