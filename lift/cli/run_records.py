"""The records in a run's folder: config.yaml, environment.json and history.jsonl."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from accelerate.utils import broadcast_object_list
from transformers import TrainerCallback

from lift.atomic_write import atomic_write
from lift.cli import run_config, run_environment
from lift.cli.train_arguments import TrainArguments
from lift.tasks import Metrics
from lift.training import run_history
from lift.training.run_history import RunHistory


class RunRecords(TrainerCallback):
    """Callback that writes config.yaml and environment.json when training begins; the main process alone writes.

    Args:
        arguments: of the run.
        output: its folder.
        checkpoint: what it goes on from. The records of the run that wrote it are taken over.
    """

    def __init__(self, arguments: TrainArguments, output: Path, checkpoint: Path | None) -> None:
        self._arguments, self._output, self._checkpoint = arguments, output, checkpoint
        resumed = None if checkpoint is None else checkpoint.parent / run_history.FILE
        self.history = RunHistory(output / run_history.FILE, resumed)
        self._has_begun = self._is_step_taken = False

    @property
    def callbacks(self) -> Sequence[TrainerCallback]:
        """What the Trainer is to call."""
        return self, self.history

    def before(self) -> Metrics:
        """Return the metrics before the first start of a run that is resumed, alike in all processes; or nothing."""
        if self._checkpoint is None:
            return {}
        found: Metrics = broadcast_object_list([self.history.first_metrics()])[0]
        return found

    @contextmanager
    def kept_from_first_step(self) -> Iterator[None]:
        """Take the records of a new run back where the block fails before its first step."""
        try:
            yield
        except BaseException:
            if self._has_begun and not self._is_step_taken and self._checkpoint is None:
                for name in (run_config.FILE, run_environment.FILE, run_history.FILE):
                    (self._output / name).unlink(missing_ok=True)
            raise

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Write config.yaml, and add this start to environment.json."""
        if not state.is_world_process_zero:
            return
        self._has_begun = True
        self._output.mkdir(parents=True, exist_ok=True)
        words = self._arguments.command
        start = run_environment.environment(run_config.command_line(words), args, model, step=state.global_step)
        starts = [*self._earlier_starts(), start]
        with atomic_write(self._output / run_environment.FILE) as file:
            file.write(json.dumps({"starts": starts}, indent=2).encode() + b"\n")
        with atomic_write(self._output / run_config.FILE) as file:
            file.write(run_config.config_text(self._arguments.settings, words).encode())

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        """Take note of a step: from now on the records stay."""
        self._is_step_taken = True

    def _earlier_starts(self) -> list[Any]:
        if self._checkpoint is None:
            return []
        try:
            record = json.loads((self._checkpoint.parent / run_environment.FILE).read_text("utf-8"))
            return list(record["starts"])
        except (OSError, ValueError, KeyError, TypeError):
            return []  # an earlier release kept none
