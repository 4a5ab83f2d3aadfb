"""argparse whose errors are ours: one sentence, no usage dump."""

from __future__ import annotations

import argparse
from typing import NoReturn

from lift.errors import LiftError


class SentenceParser(argparse.ArgumentParser):
    """Raises LiftError where argparse would print its usage and exit."""

    def error(self, message: str) -> NoReturn:
        raise LiftError(f"{message}.")
