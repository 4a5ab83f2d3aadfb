"""What differs between the domains of the study: their plans and jobs, how runs are measured, what was predicted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.study.perform import Makers
from benchmarks.study.plan import Plan, Setting
from benchmarks.study.predictions import Prediction


@dataclass(frozen=True)
class Domain:
    """A domain of PROTOCOL.md. Everything else, from processes to statistics, is the same for all."""

    title: str
    """Of the report."""

    folder: str
    """Of the results."""

    full: Plan
    quick: Plan
    makers: Makers
    outcomes: Sequence[str]
    """Names in `OUTCOMES`, the primary first."""

    decoding_steps: Callable[[Setting], Mapping[str, int]]
    """Which outcomes are the primary at how many decoding steps, the fewest first."""

    predictions: Sequence[Prediction]
    starts: tuple[str, Callable[[Iterable[Mapping[str, Any]], Plan], str]]
    """Heading and table of the models that runs start from."""

    check: Callable[[], object] = bool
    """Raises LiftError where something that the domain needs is missing."""

    def plan(self, *, quick: bool) -> Plan:
        """Return the plan of the protocol, or the small one that shows that all parts work."""
        return self.quick if quick else self.full
