"""The progress bar of a training run, and the counts behind it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tqdm.auto import tqdm
from transformers import TrainerCallback
from transformers.trainer_utils import has_length

from lift.objectives import MODES

# Without percentage and steps per second, which leave no room for the rest in 80 columns.
_FORMAT = "{desc} |{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"


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
    """A bar for the steps and, while it lasts, one for an evaluation, which leaves a line above.

    Beside the steps stand the last logged loss (nats), the shares of easy, middle and hard rows (%) and the tokens per
    second, all within 80 columns.
    """

    def __init__(self) -> None:
        self._bar: Any = None
        self._evaluation_bar: Any = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            self._bar = tqdm(
                total=state.max_steps, initial=state.global_step, desc=args.method, bar_format=_FORMAT,
                dynamic_ncols=True,
            )  # fmt: skip

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._bar is not None:
            self._bar.update(state.global_step - self._bar.n)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        if self._bar is not None and logs:
            shown = _postfix(logs)
            if shown:
                self._bar.set_postfix_str(shown)

    def on_prediction_step(
        self, args: Any, state: Any, control: Any, eval_dataloader: Any = None, **kwargs: Any
    ) -> None:
        if not state.is_world_process_zero or not has_length(eval_dataloader):
            return
        if self._evaluation_bar is None:
            self._evaluation_bar = tqdm(
                total=len(eval_dataloader), desc="evaluating", bar_format=_FORMAT, leave=False, dynamic_ncols=True
            )
        self._evaluation_bar.update(1)

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: dict[str, float] | None = None, **kwargs: Any
    ) -> None:
        self.on_predict(args, state, control)
        if self._bar is not None:
            for line in _evaluation_lines(state, metrics or {}):
                tqdm.write(line, file=self._bar.fp)  # not to stdout, whose reader may have left

    def on_predict(self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: Any) -> None:
        if self._evaluation_bar is not None:
            self._evaluation_bar.close()
            self._evaluation_bar = None

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.close()

    def close(self) -> None:
        """End the bars, also those of a run that failed: what is said next then begins a line of its own."""
        for bar in (self._evaluation_bar, self._bar):
            if bar is not None:
                bar.close()
        self._evaluation_bar = self._bar = None


def _postfix(logs: dict[str, float]) -> str:
    """Return such as "loss 1.234, e50 m30 h20, 12k tok/s"."""
    parts = []
    if "loss" in logs:
        parts.append(f"loss {logs['loss']:#.4g}")
    if "easy" in logs:
        parts.append(" ".join(f"{name[0]}{100 * logs[name]:.0f}" for name in MODES))
    if "tokens_per_second" in logs:
        speed = logs["tokens_per_second"]
        parts.append(f"{speed:.0f} tok/s" if speed < 9999.5 else f"{speed / 1000:.0f}k tok/s")
    return ", ".join(parts)


def _evaluation_lines(state: Any, metrics: dict[str, float]) -> Iterator[str]:
    """Yield such as "step 40: held-out 7.31, best" for each evaluated set; its own entry ends `state.log_history`."""
    for name, loss in metrics.items():
        if not (name.startswith("eval_") and name.endswith("loss")):
            continue
        rows = name.removeprefix("eval_").removesuffix("loss").removesuffix("_")
        is_best = all(loss < entry[name] for entry in state.log_history[:-1] if name in entry)
        yield f"step {state.global_step}: held-out {rows + ' ' if rows else ''}{loss:.4g}{', best' if is_best else ''}"
