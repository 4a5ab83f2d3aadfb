"""What is run: the settings of PROTOCOL.md, and a quick form of them that shows that all parts work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from benchmarks.study.methods import BESIDE, METHODS


@dataclass(frozen=True)
class Setting:
    """A task, where fine-tuning starts, and how long it is."""

    task: str
    steps: int
    learning_rate: float
    from_base: bool = False
    """Start at the base model, not at half-way models."""


@dataclass(frozen=True)
class Job:
    """A line of the results: the base model, a half-way model, or a run."""

    kind: Literal["base", "half-way", "run"]
    setting: str = ""
    start: int = 0
    """Which half-way model."""

    seed: int = 0
    method: str = ""

    @classmethod
    def of_line(cls, line: Mapping[str, Any]) -> Job:
        """Return the job that made a line of the results."""
        return cls(**line["job"])


@dataclass(frozen=True)
class Plan:
    """Sizes of the study."""

    settings: Mapping[str, Setting]
    methods: tuple[str, ...] = tuple(METHODS)
    beside: tuple[str, ...] = tuple(BESIDE)
    num_starts: int = 5
    num_seeds: int = 4
    """Of each half-way model; a setting that starts at the base has as many runs in all."""

    base_steps: int = 24_000
    base_rows: int = 128_000
    base_gate: float = 0.9
    """Least share of whole responses, in each of the base model's tasks."""

    halfway_share: float = 0.1
    """Share of whole responses from which on a model is half-way."""

    round_steps: int = 40
    max_rounds: int = 25
    train_rows: int = 200
    test_rows: int = 200
    calibration_rows: int = 100
    kept_rows: int = 100

    def starts(self) -> Iterator[Job]:
        """Yield the half-way models."""
        for name, setting in self.settings.items():
            if not setting.from_base:
                yield from (Job("half-way", name, start) for start in range(self.num_starts))

    def runs(self) -> Iterator[Job]:
        """Yield the runs, settings and methods in turn, so that a part of them is a smaller study."""
        for number in range(self.num_starts * self.num_seeds):
            seed, start = divmod(number, self.num_starts)
            for name, setting in self.settings.items():
                place = (0, number) if setting.from_base else (start, seed)
                for method in self.methods + (self.beside if number < self.num_starts else ()):
                    yield Job("run", name, *place, method)


FULL = Plan(
    {
        "fsa": Setting("fsa", 80, 5e-4),
        "depth": Setting("depth", 80, 5e-4),
        "sort6": Setting("sort6", 80, 5e-4),
        "sort6_short": Setting("sort6", 240, 1e-3, from_base=True),
    }
)
QUICK = Plan(
    {"sort6": Setting("sort6", 2, 5e-4)}, methods=("sft", "reversed"), beside=(), num_starts=2, num_seeds=1,
    base_steps=2, base_rows=64, base_gate=0.0, round_steps=2, max_rounds=1, train_rows=32, test_rows=4,
    calibration_rows=4, kept_rows=2,
)  # fmt: skip
