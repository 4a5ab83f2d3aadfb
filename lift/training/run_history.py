"""`history.jsonl`: a line for each log and each evaluation of a run, written as they come and kept by its resumes."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from lift.atomic_write import atomic_write

FILE = "history.jsonl"


class RunHistory(TrainerCallback):
    """Callback that writes what the Trainer logs; the main process alone writes.

    A line is a JSON object: what was logged, with `step` (0 before training), `epoch`, and `seconds`, those of training
    up to then, earlier starts included. A number that is not finite is null. What is logged before training waits
    until it begins, so that a run that is refused leaves nothing. A run that goes on from a checkpoint takes over the
    lines up to its step, and drops those after it; where that was the last step, those of the end of training too.

    Args:
        path: the file.
        resumed: that of the run whose checkpoint is gone on from; it may be the same, or missing. None for a new run.
    """

    def __init__(self, path: Path, resumed: Path | None = None) -> None:
        self._path = path
        self._is_resumed = resumed is not None
        self._earlier = [] if resumed is None else read_history(resumed)
        self._lines: list[dict[str, Any]] = []
        self._start: float | None = None  # of training
        self.train_loss: float | None = None
        """Mean over the whole run, once its training has ended; in a resumed run alone."""

        self.earlier_seconds: float = max((line.get("seconds") or 0.0 for line in self._earlier), default=0.0)

    @property
    def lines(self) -> Sequence[Mapping[str, Any]]:
        """What the file holds, from the evaluation before training on; in the main process alone."""
        return self._lines

    def first_metrics(self) -> dict[str, Any]:
        """Return what the run that is gone on from scored before its training; empty where that is not known."""
        first = [line for line in self._earlier if line["step"] == 0]
        losses = [line["eval_loss"] for line in first if line.get("eval_loss") is not None]
        scores = [line["score"] for line in first if "score" in line]
        return {"eval_loss": losses[0], **(scores[0] if scores else {})} if losses else {}

    def mean_loss(self) -> float | None:
        """Return the mean of the logged losses, each weighted by the steps since the one before; None without any."""
        total, last = 0.0, 0
        for line in self._lines:
            if line.get("loss") is not None:
                total += (line["step"] - last) * line["loss"]
                last = line["step"]
        return total / last if last else None

    def add(self, state: Any, entry: Mapping[str, Any]) -> None:
        """Write a line: `entry`, at the step of `state`, the Trainer's."""
        if not state.is_world_process_zero:
            return
        seconds = 0.0 if self._start is None else time.perf_counter() - self._start
        line = {"step": state.global_step, "epoch": state.epoch or 0.0, **entry}
        if self._is_resumed and "train_runtime" in line:  # whose loss is that of the steps since the resume
            self.train_loss = line["train_loss"] = self.train_loss or self.mean_loss() or entry.get("train_loss")
        self._lines.append(_plain(line | {"seconds": round(self.earlier_seconds + seconds, 3)}))
        if self._start is not None:
            with self._path.open("ab") as file:
                file.write(_text(self._lines[-1:]))

    def _drop_end(self, last: int) -> None:
        """Drop the lines of what follows the last step, which a resume after that step does again, but for the loss."""
        ends = [n for n, line in enumerate(self._lines) if line["step"] == last and "train_runtime" in line]
        if ends:
            self.train_loss = self._lines[ends[0]].get("train_loss")
            del self._lines[ends[0] :]

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Write what was logged."""
        self.add(state, state.log_history[-1])

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Write what there is so far."""
        if not state.is_world_process_zero:
            return
        self._start = time.perf_counter()
        # A run that an earlier release began has no file, but its checkpoint knows what was logged.
        earlier = self._earlier or (_plain(state.log_history) if self._is_resumed else [])
        self._lines += [line for line in earlier if line["step"] <= state.global_step]
        if self._is_resumed and 0 < state.max_steps <= state.global_step:
            self._drop_end(state.global_step)
        with atomic_write(self._path) as file:
            file.write(_text(self._lines))


def read_history(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a history; none where there is no file. The last may be torn, as a killed run leaves it."""
    lines: list[dict[str, Any]] = []
    for text in path.read_text("utf-8", errors="replace").splitlines() if path.is_file() else []:
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict) and isinstance(line.get("step"), int):
            lines.append(line)
    return lines


def _text(lines: Sequence[Mapping[str, Any]]) -> bytes:
    return "".join(json.dumps(line, allow_nan=False) + "\n" for line in lines).encode()


def _plain(value: Any) -> Any:
    """Return what JSON can hold of a value: null of a number that is not finite."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(value, "item"):  # of torch or numpy
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
