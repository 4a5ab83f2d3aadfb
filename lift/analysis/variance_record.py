"""What was measured of the variance of gradients, as a file beside the table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lift.analysis.variance import PARTS, Estimate, GradientVariance
from lift.atomic_write import atomic_write
from lift.errors import LiftError

_FILE, _FORMAT = "variance.json", 1
_NEEDED = ("weights", "data", "num_parameters", "num_rows", "num_times", "num_masks", "block_size")


@dataclass(frozen=True)
class VarianceRecord:
    """The variance of one or several methods' gradients, on the same pairs of rows."""

    settings: Mapping[str, Any]
    """`weights` and `data` as the table has them, `num_parameters`, `num_rows`, `num_times`, `num_masks`, `block_size`,
    which is None without blocks, and what else is known."""

    methods: Mapping[str, GradientVariance]

    def write(self, folder: Path) -> Path:
        """Write `variance.json`, whole or not at all: the estimates, and the moments of each pair behind them."""
        methods = {
            name: {"estimates": _estimates(variance), "moments": variance.moments.tolist()}
            for name, variance in self.methods.items()
        }
        path = folder / _FILE
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            record = {"format": _FORMAT, **self.settings, "methods": methods}
            file.write(json.dumps(record, indent=1).encode() + b"\n")
        return path

    @classmethod
    def read(cls, folder: Path) -> VarianceRecord | None:
        """Return what `write` wrote into a folder; None where nothing lies there.

        Raises:
            LiftError: the file is damaged.
        """
        path = folder / _FILE
        try:
            record = json.loads(path.read_text("utf-8"))
            assert record.pop("format") == _FORMAT and record.keys() >= set(_NEEDED)
            methods = {name: GradientVariance(found["moments"]) for name, found in record.pop("methods").items()}
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, AssertionError):
            raise LiftError(f"{path} is damaged: delete it, and measure again with --variance.") from None
        return cls(record, methods)


def _estimates(variance: GradientVariance) -> dict[str, Any]:
    found: dict[str, Estimate | None] = {name: variance.part(name) for name in PARTS}
    found |= {"total": variance.total, "squared_mean": variance.signal, "noise_scale": variance.noise_scale}
    return {
        name: None if estimate is None else {"value": estimate.value, "interval": list(estimate.interval)}
        for name, estimate in found.items()
    }
