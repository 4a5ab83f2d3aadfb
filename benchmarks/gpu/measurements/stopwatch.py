"""Times of steps that take turns, with the clocks warm: medians, quantiles and counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from benchmarks.harness import timing
from benchmarks.harness.run_config import RunConfig

SHORT, LONG = 0.08, 0.5  # seconds of rounds: of one kernel, and of a whole step
_SMOKE_ROUNDS = 2


def time_steps(
    config: RunConfig,
    steps: timing.Steps,
    *,
    seconds: float,
    clear: Callable[[], None] = lambda: None,
    repeats: int = 1,
) -> dict[str, dict[str, Any]]:
    """Return label -> summary in milliseconds; what a step raises passes.

    Each step has run once before, which compiles; the device is kept busy while the next is queued. `clear` runs
    before each step, outside the time. A step that does the same `repeats` times is reported for one of them.
    """
    for step in steps.values():
        clear()
        step()
    samples = timing.time_in_turns(steps, clear, timing.clock_for(config), rounds(config, seconds), _raise)
    return {name: timing.summarize([value / repeats for value in values]) for name, values in samples.items()}


def rounds(config: RunConfig, seconds: float) -> Callable[[float], int]:
    """As many rounds as fit `seconds`, as `time_in_turns` asks for them; few in a smoke test."""
    return (lambda _: _SMOKE_ROUNDS) if config.is_smoke else timing.rounds_that_fit(seconds)


def _raise(name: str, error: Exception) -> NoReturn:
    raise error


def median(times: dict[str, dict[str, Any]], label: str) -> float:
    """The median of `label`, in milliseconds."""
    return float(times[label]["median_ms"])


def percent(part: float, whole: float) -> float:
    return 100 * part / whole if whole else float("nan")
