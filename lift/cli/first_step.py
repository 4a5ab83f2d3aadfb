"""What holds until the first optimiser step is taken: a failure is one of the arguments, and leaves nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from lift.cli.failures import AFTER_FIRST_STEP


class FirstStep(TrainerCallback):
    """Callback that knows whether a step was taken."""

    def __init__(self) -> None:
        self.is_taken = False

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        """Take note of a step."""
        self.is_taken = True


@contextmanager
def first_step(output: Path) -> Iterator[FirstStep]:
    """Give the callback of a run that writes to `output`.

    An exception before its first step takes the empty folders away that the Trainer made for `output`; one after it is
    marked with the note AFTER_FIRST_STEP.
    """
    missing = [folder for folder in (output, *output.parents) if not folder.exists()]
    watch = FirstStep()
    try:
        yield watch
    except BaseException as error:
        if watch.is_taken:
            error.add_note(AFTER_FIRST_STEP)
        with suppress(OSError):
            for folder in [] if watch.is_taken else missing:
                folder.rmdir()
        raise
