"""The command `lift`: one module for each subcommand, loaded only when it runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

_COMMANDS = {
    "train": "fine-tune a model: lift train --preset sudoku --output_dir out",
    "sample": "complete prompts: lift sample --model out --prompt 3102200002100320",
    "eval": "score: lift eval --model out --tasks countdown --output_dir scores",
    "analyze": "see what it knows of masked tokens, by mask ratio and frequency",
    "measure-t": "measure at which times a model is best trained, for --method ppots",
    "compare": "compare methods or scores: lift compare --methods sft,lift3 a.yaml",
    "merge": "merge a LoRA adapter: lift merge --model out --output_dir merged",
    "presets": "list the presets of lift train",
    "methods": "list the methods of lift train",
    "doctor": "say what this machine has and which backend each device gets",
}

_USAGE = "usage: lift COMMAND [arguments]\n\ncommands:\n" + "".join(
    f"  {name:<10}{description}\n" for name, description in _COMMANDS.items()
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand.

    What goes wrong before the first optimiser step is one sentence on stderr; with LIFT_DEBUG=1 in the environment, the
    traceback stands above it. What goes wrong later is a traceback.

    Returns: 0; 2 after a sentence; 130 after SIGINT (Ctrl-C) and 143 after SIGTERM, also where a training has stopped
        with a checkpoint; 141 where nobody reads the output any more, as of a command that SIGPIPE ends.
    """
    words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    program = f"lift {words[0]}" if words[0] in _COMMANDS else "lift"
    try:
        _answer(words)
        _flush()
    except KeyboardInterrupt as interrupt:
        return getattr(interrupt, "status", 130)
    except BrokenPipeError:
        return 141
    except Exception as error:
        from lift.cli.failures import is_refusal, report

        if not is_refusal(error):
            raise
        report(program, error)
        return 2
    finally:
        _give_up_broken_output()
    return 0


def _answer(words: Sequence[str]) -> None:
    command, *rest = words
    if command in ("-h", "--help"):
        print(_USAGE + "\nlift COMMAND --help explains one of them.")
    elif command == "--version":
        print(f"lift-kernels {_version()}")
    elif command in _COMMANDS:
        import_module(f"lift.cli.{command.replace('-', '_')}").run(rest)
    else:
        from lift.errors import LiftError

        raise LiftError(f"unknown command {command!r}: use one of {', '.join(_COMMANDS)}.")


def _flush() -> None:
    """Write what print has kept back: at the interpreter's end it is too late for a sentence."""
    if sys.stdout is None:  # closed by whoever called
        return
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        from lift.errors import LiftError

        raise LiftError(f"the output cannot be written: {error.strerror}.") from error


def _give_up_broken_output() -> None:
    """Send what can no longer be written nowhere, or the interpreter complains of it when it ends."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # a tenth of a second

    try:
        return version("lift-kernels")
    except PackageNotFoundError:  # a checkout that is not installed; the other way first, as this one loads torch
        from lift_kernels import __version__

        return __version__
