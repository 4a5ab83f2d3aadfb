"""What a step of an objective costs, relative to plain SFT and to the same objective with attention to whole rows."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.harness.timing import summarize
from benchmarks.training.objectives import IN_BLOCKS, SFT

Samples = Mapping[str, Sequence[float]]


def costs(samples: Samples) -> list[dict[str, Any]]:
    """Return a row for each objective, from the milliseconds of its steps, a step of each in every round.

    `relative` and `over_full` are quotients of means, as modes differ from step to step; of like steps, as all
    objectives draw the same times. Their quantiles are over rounds, within which the steps follow one another.
    """
    return [_cost(samples, name) for name in samples]


def _cost(samples: Samples, name: str) -> dict[str, Any]:
    row: dict[str, Any] = {"objective": name, "mean_ms": statistics.mean(samples[name])}
    row |= _quotient("relative", samples[name], samples[SFT])
    full = name.removesuffix(IN_BLOCKS)
    if full != name and full in samples:
        row |= _quotient("over_full", samples[name], samples[full])
    return row | summarize(list(samples[name]))


def _quotient(key: str, own: Sequence[float], other: Sequence[float]) -> dict[str, float]:
    quantiles = statistics.quantiles([a / b for a, b in zip(own, other, strict=True)], n=5, method="inclusive")
    ratio = statistics.mean(own) / statistics.mean(other)
    return {key: ratio, f"{key}_p20": quantiles[0], f"{key}_p80": quantiles[-1]}
