from __future__ import annotations

import pytest
import torch

from benchmarks.harness import timing
from tests.benchmarks.support import HERE, ON_GPU


class FakeClock:
    """Time passes only inside steps and clearing; the log shows the order of things."""

    def __init__(self) -> None:
        self.now, self.log, self.is_settled = 0.0, [], True

    def head_start(self) -> None:
        self.log.append("head start")

    def mark(self) -> float:
        self.is_settled = False
        return self.now

    def settle(self) -> None:
        self.is_settled = True

    def milliseconds(self, start: float, end: float) -> float:
        assert self.is_settled
        return end - start

    def step(self, name: str, milliseconds: float):
        def step():
            self.log.append(name)
            self.now += milliseconds

        return step

    def clear(self) -> None:
        self.log.append("clear")
        self.now += 1000


def measure(clock, steps, window_seconds=1.0, on_error=None):
    def fail(name, error):
        raise error

    num_rounds = timing.rounds_that_fit(window_seconds)
    return timing.time_in_turns(steps, clock.clear, clock, num_rounds, on_error or fail)


def test_steps_take_turns_and_clearing_is_not_timed():
    clock = FakeClock()
    samples = measure(clock, {"a": clock.step("a", 10.0), "b": clock.step("b", 30.0)})
    assert samples == {"a": [10.0] * 25, "b": [30.0] * 25}  # 1000 ms / 40 ms, after the round that counts them
    one_round = ["clear", "head start", "a", "clear", "head start", "b", "clear"]
    assert clock.log == one_round * 26


@pytest.mark.parametrize(("milliseconds", "rounds"), [(1e4, timing.FEWEST_ROUNDS), (0.01, timing.MOST_ROUNDS)])
def test_the_number_of_rounds_has_bounds(milliseconds, rounds):
    clock = FakeClock()
    assert len(measure(clock, {"a": clock.step("a", milliseconds)})["a"]) == rounds


def test_a_step_that_raises_is_left_out_from_there_on():
    clock, calls, errors = FakeClock(), [], []

    def fails_later():
        calls.append(1)
        clock.now += 5.0
        if len(calls) == 3:
            raise ValueError("no more")

    steps = {"a": clock.step("a", 100.0), "later": fails_later}
    samples = measure(clock, steps, on_error=lambda name, error: errors.append((name, str(error))))
    assert errors == [("later", "no more")] and set(samples) == {"a"} and len(samples["a"]) == 9
    assert len(calls) == 3 and set(steps) == {"a", "later"}
    assert measure(clock, {}) == {}


def test_the_summary_keeps_the_middle_and_the_spread():
    summary = timing.summarize([5.0, 1.0, 2.0, 3.0, 4.0])
    assert (summary["median_ms"], summary["least_ms"], summary["rounds"]) == (3.0, 1.0, 5)
    assert 1.0 < summary["p20_ms"] < 2.0 and 4.0 < summary["p80_ms"] < 5.0


def test_the_device_clock_uses_events_on_the_device(monkeypatch):
    log = []

    class Event:
        def __init__(self, enable_timing=False):
            assert enable_timing

        def record(self):
            log.append("record")

        def elapsed_time(self, end):
            return 2.5

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: log.append("synchronize"))
    monkeypatch.setattr(torch.cuda, "_sleep", lambda cycles: log.append("sleep"))
    clock = timing.clock_for(ON_GPU)
    samples = timing.time_in_turns(
        {"a": lambda: log.append("a")}, lambda: None, clock, timing.rounds_that_fit(0.02), lambda *error: None
    )
    assert samples == {"a": [2.5] * 8}
    assert log == ["sleep", "record", "a", "record", "synchronize"] * 9
    assert isinstance(timing.clock_for(HERE), timing.HostClock)
