"""The run that a new one replaces: it is kept beside output_dir until the new one has taken a step."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from lift.cli.output_folder import aside_of
from lift.errors import LiftError

logger = logging.getLogger(__name__)


class ReplacedRun(TrainerCallback):
    """Callback that deletes the replaced run once a step of the new one is taken; for the main process alone.

    A kill before that leaves it in `aside_of(output)`, where it is whole whenever it is there at all.

    Args:
        output: folder of both runs. Where it is a link, the folder behind it is moved, and the link stays.
    """

    def __init__(self, output: Path) -> None:
        self._output, self._folder, self._aside = output, output.resolve(), aside_of(output)
        self._is_aside = False

    @contextmanager
    def kept_until_first_step(self, *, is_asked: bool) -> Iterator[None]:
        """Move the run aside where that `is_asked`, and back if the block fails before the first step.

        Raises:
            LiftError: the folder cannot be moved.
        """
        if is_asked:
            self._move_aside()
        try:
            yield
        except BaseException:
            self._move_back()
            raise
        self._delete()

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        """Delete the run: its successor trains."""
        self._delete()

    def _move_aside(self) -> None:
        is_left = os.path.lexists(self._aside)  # by a start that was killed, whose own folder holds no step
        if not is_left and not (self._folder.is_dir() and any(self._folder.iterdir())):
            return
        try:
            if not is_left:
                os.replace(self._folder, self._aside)
            elif self._folder.exists():
                shutil.rmtree(self._folder)
            self._is_aside = True
            self._folder.mkdir()
            shutil.copymode(self._aside, self._folder)
        except OSError as error:
            self._move_back()
            raise LiftError(
                f"output_dir {self._output} cannot be moved to {self._aside}, where it would be kept until the new run "
                f"has taken a step: {error.strerror}: empty it yourself, or choose another."
            ) from None

    def _move_back(self) -> None:
        if not self._is_aside:
            return
        self._is_aside = False
        try:
            if self._folder.exists():
                shutil.rmtree(self._folder)
            os.replace(self._aside, self._folder)
        except OSError as error:
            logger.warning("the run that was to be replaced is left in %s: %s.", self._aside, error.strerror)

    def _delete(self) -> None:
        if not self._is_aside:
            return
        self._is_aside = False
        doomed = self._aside.with_suffix(".deleted")  # at once, so that half of a run never passes for one
        try:
            if doomed.exists():
                shutil.rmtree(doomed)
            os.replace(self._aside, doomed)
            shutil.rmtree(doomed)
        except OSError as error:
            logger.warning("the run that was replaced could not be deleted: %s: %s.", error.filename, error.strerror)
