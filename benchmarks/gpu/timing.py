"""Time on the device, and peak memory, of steps that take turns."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

import torch

from benchmarks import measure
from benchmarks.gpu.behaviour import extra_bytes
from benchmarks.gpu.setting import Setting

LEAST_ROUNDS, MOST_ROUNDS = 5, 50
# The device is kept busy for about 2 ms (on an H100) while the first launches of a step are queued behind it, as they
# are in a training step; a step is then timed from the start of its first kernel.
_HEAD_START_CYCLES = 4_000_000


class Clock(Protocol):
    def head_start(self) -> None: ...

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


def clock_for(setting: Setting) -> Clock:
    return CudaClock() if setting.on_gpu else HostClock()


def interleaved(
    steps: dict[str, Callable[[], Any]],
    clear: Callable[[], None],
    clock: Clock,
    window_seconds: float,
    on_error: Callable[[str, Exception], None],
) -> dict[str, list[float]]:
    """Milliseconds of every round by step; each must have run before.

    Steps take turns, so that a drift of the clocks meets all alike. There are as many rounds as fit the window, within
    bounds. A step that raises is left out from there on.
    """
    steps, samples = dict(steps), {name: [] for name in steps}
    first_round = _round(steps, clear, clock, on_error)
    total = sum(first_round.values())
    rounds = int(1e3 * window_seconds / total) if total else LEAST_ROUNDS
    for _ in range(min(max(rounds, LEAST_ROUNDS), MOST_ROUNDS)):
        for name, milliseconds in _round(steps, clear, clock, on_error).items():
            samples[name].append(milliseconds)
    return {name: samples[name] for name in steps}


def _round(
    steps: dict[str, Callable[[], Any]],
    clear: Callable[[], None],
    clock: Clock,
    on_error: Callable[[str, Exception], None],
) -> dict[str, float]:
    marks = {}
    for name, step in list(steps.items()):
        clear()
        clock.head_start()
        start = clock.mark()
        try:
            step()
        except Exception as error:
            del steps[name]
            on_error(name, error)
        else:
            marks[name] = start, clock.mark()
    clear()
    clock.settle()
    return {name: clock.milliseconds(*pair) for name, pair in marks.items()}


def summary(samples: list[float]) -> dict[str, Any]:
    return {**measure.summary(samples), "least_ms": min(samples), "rounds": len(samples)}


def peak_mib(setting: Setting, step: Callable[[], Any], clear: Callable[[], None]) -> float | None:
    """Extra memory of one step at its peak, gradients included; None where it is not counted."""
    clear()
    if not setting.on_gpu:
        return None
    peak = extra_bytes(step)
    clear()
    return peak / (1 << 20)
