"""The one exception that tells a user what to change."""

from __future__ import annotations


class LiftError(ValueError):
    """Bad input from a user: one sentence that names the thing, what it must be, what it is, and the remedy.

    The command line prints the sentence without a traceback and ends with exit status 2.
    """


class Interrupted(KeyboardInterrupt):
    """A signal ended what was under way; the command line ends with `status`, 128 and the signal's number."""

    def __init__(self, signal: int) -> None:
        super().__init__(signal)
        self.status = 128 + signal
