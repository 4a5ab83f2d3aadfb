"""Times of steps that take turns, on the device's clock or the host's."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch

from benchmarks.harness.run_config import RunConfig

FEWEST_ROUNDS, MOST_ROUNDS = 5, 50
# The device is kept busy for about 2 ms (on an H100) while the first launches of a step are queued behind it, as they
# are in a training step; a step is then timed from the start of its first kernel.
_HEAD_START_CYCLES = 4_000_000

Steps = Mapping[str, Callable[[], Any]]
OnError = Callable[[str, Exception], None]


class Clock(Protocol):
    """Marks moments, and tells the time between two of them once `settle` has returned."""

    def head_start(self) -> None:
        """Called before each step: the clock may keep the device busy, so that launches are queued."""

    def mark(self) -> Any: ...

    def settle(self) -> None:
        """Wait until every mark so far was passed."""

    def milliseconds(self, start: Any, end: Any) -> float: ...


class CudaClock:
    def head_start(self) -> None:
        torch.cuda._sleep(_HEAD_START_CYCLES)

    def mark(self) -> torch.cuda.Event:
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def settle(self) -> None:
        torch.cuda.synchronize()

    def milliseconds(self, start: torch.cuda.Event, end: torch.cuda.Event) -> float:
        return start.elapsed_time(end)


class HostClock:
    def head_start(self) -> None:
        pass

    def mark(self) -> float:
        return time.perf_counter()

    def settle(self) -> None:
        pass

    def milliseconds(self, start: float, end: float) -> float:
        return 1e3 * (end - start)


def clock_for(config: RunConfig) -> Clock:
    return CudaClock() if config.on_gpu else HostClock()


def rounds_that_fit(window_seconds: float) -> Callable[[float], int]:
    """Return how many rounds fit the window, from the milliseconds of one round: 5 to 50."""

    def num_rounds(round_ms: float) -> int:
        rounds = int(1e3 * window_seconds / round_ms) if round_ms else FEWEST_ROUNDS
        return min(max(rounds, FEWEST_ROUNDS), MOST_ROUNDS)

    return num_rounds


def time_in_turns(
    steps: Steps, clear: Callable[[], None], clock: Clock, num_rounds: Callable[[float], int], on_error: OnError
) -> dict[str, list[float]]:
    """Return the milliseconds of every round by step.

    Steps take turns, so that a drift of the clocks meets all alike. A first round, which is not kept, tells
    `num_rounds` the milliseconds of one. `clear` runs before each step, outside the time. A step that raises is
    reported to `on_error` and left out from there on.
    """
    running: dict[str, Callable[[], Any]] = dict(steps)
    samples: dict[str, list[float]] = {name: [] for name in running}
    first_round = _round(running, clear, clock, on_error)
    for _ in range(num_rounds(sum(first_round.values()))):
        for name, milliseconds in _round(running, clear, clock, on_error).items():
            samples[name].append(milliseconds)
    return {name: samples[name] for name in running}


def _round(
    running: dict[str, Callable[[], Any]], clear: Callable[[], None], clock: Clock, on_error: OnError
) -> dict[str, float]:
    marks = {}
    for name, step in list(running.items()):
        clear()
        clock.head_start()
        start = clock.mark()
        try:
            step()
        except Exception as error:
            del running[name]
            on_error(name, error)
        else:
            marks[name] = start, clock.mark()
    clear()
    clock.settle()
    return {name: clock.milliseconds(*pair) for name, pair in marks.items()}


def summarize(samples: list[float]) -> dict[str, Any]:
    """Return median, 20 and 80 % quantile and least of `samples`, in milliseconds, and their number."""
    quantiles = statistics.quantiles(samples, n=5, method="inclusive")
    return {
        "median_ms": statistics.median(samples), "p20_ms": quantiles[0], "p80_ms": quantiles[-1],
        "least_ms": min(samples), "rounds": len(samples),
    }  # fmt: skip
