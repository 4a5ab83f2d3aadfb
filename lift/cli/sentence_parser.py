"""argparse whose errors are ours: one sentence, no usage dump; and whose switches read as those of `lift train`."""

from __future__ import annotations

import argparse
from typing import NoReturn

from lift.errors import LiftError


class SentenceParser(argparse.ArgumentParser):
    """Raises LiftError where argparse would print its usage and exit."""

    def error(self, message: str) -> NoReturn:
        raise LiftError(f"{message}.")

    def add_switch(self, name: str, help: str) -> None:
        """`--name`, `--name true` or `--name false`, as `lift train` takes a bool; by default False."""
        self.add_argument(f"--{name}", nargs="?", const=True, default=False, type=_truth, metavar="BOOL", help=help)


def _truth(word: str) -> bool:
    if word.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"must be true or false, got {word!r}")
    return word.lower() == "true"
