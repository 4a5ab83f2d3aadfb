"""The progress bar of a training run, and the counts behind it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tqdm.auto import tqdm
from transformers import TrainerCallback

from lift.objectives import MODES


def shows_progress(args: Any) -> bool:
    """Whether this process shows bars: one of all processes does, unless `args.disable_tqdm`."""
    return not args.disable_tqdm and args.process_index == 0


class Speed:
    """Tokens that this process trained on since the last log entry, and the seconds it took."""

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self.num_tokens = 0
        self._start = time.perf_counter()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the block's time out: evaluation and saving are no training."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._start += time.perf_counter() - start

    def take(self) -> dict[str, float]:
        """Return tokens_per_second of this process, and start over."""
        entry = {"tokens_per_second": self.num_tokens / max(time.perf_counter() - self._start, 1e-9)}
        self._reset()
        return entry


class TrainingProgress(TrainerCallback):
    """One bar for the steps, with the last logged loss, mode shares and speed beside it."""

    def __init__(self) -> None:
        self._bar: Any = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            self._bar = tqdm(
                total=state.max_steps, initial=state.global_step, desc=args.method, unit="step", dynamic_ncols=True
            )

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._bar is not None:
            self._bar.update(state.global_step - self._bar.n)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        if self._bar is not None and logs:
            shown = _postfix(logs)
            if shown:
                self._bar.set_postfix_str(shown)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _postfix(logs: dict[str, float]) -> str:
    parts = []
    if "loss" in logs:
        parts.append(f"loss {logs['loss']:.3f}")
    if "easy" in logs:
        parts.append("easy/middle/hard " + "/".join(f"{100 * logs[name]:.0f}" for name in MODES) + " %")
    if "tokens_per_second" in logs:
        parts.append(f"{logs['tokens_per_second']:,.0f} tok/s")
    return ", ".join(parts)
