"""What a JSON file of pytest-benchmark holds of the ops: a row for each provider of each case."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Row:
    """One provider on one case."""

    facts: dict[str, Any]

    def __getattr__(self, name: str) -> Any:
        try:
            return self.facts[name]
        except KeyError:
            raise AttributeError(name) from None

    @property
    def error_nats(self) -> float | None:
        """Of a token where it is known, else of the mean loss."""
        numbers = (self.facts.get(name) for name in ("token_loss_error_nats", "mean_loss_error_nats"))
        return next((number for number in numbers if number is not None), None)

    @property
    def tells_tokens(self) -> bool:
        """Whether the error is that of the worst token; in a mean, errors of tokens cancel."""
        return self.facts.get("token_loss_error_nats") is not None

    @property
    def gradient_error(self) -> float | None:
        """The largest of the gradients', relative."""
        errors = [number for name, number in self.facts.items() if name.endswith("_gradient_error")]
        return max(errors, default=None)


@dataclass(frozen=True)
class Results:
    """A file."""

    rows: list[Row]
    environment: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> Results:
        """Read a file that `pytest benchmarks --benchmark-json` wrote; ValueError where it has no row of the ops."""
        record = json.loads(path.read_text(encoding="utf-8"))
        rows = [Row(facts) for entry in record["benchmarks"] if "case" in (facts := entry["extra_info"])]
        if not rows:
            raise ValueError(
                f"{path} has no benchmark of the ops: make one by pytest benchmarks --benchmark-json={path}"
            )
        return cls(rows, record["machine_info"].get("lift", {}))


def grouped(rows: Iterable[Row], *names: str) -> dict[Any, list[Row]]:
    """Return rows by the value of a fact, or by the tuple of several, in order of appearance."""
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        values = tuple(row.facts[name] for name in names)
        groups.setdefault(values[0] if len(names) == 1 else values, []).append(row)
    return groups
