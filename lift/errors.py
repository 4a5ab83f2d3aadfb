"""The one exception that tells a user what to change."""

from __future__ import annotations


class LiftError(ValueError):
    """Bad input from a user: one sentence that names the thing, what it must be, what it is, and the remedy.

    The command line prints the sentence without a traceback and ends with exit status 2.
    """
