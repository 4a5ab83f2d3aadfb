"""The objectives whose steps are compared: what each changes in `LiftConfig`. A new method comes in by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lift import METHODS
from lift.objectives.time_density_file import DensityPoints, write_time_density

SFT = "sft"
IN_BLOCKS = ", blocks"
# Four blocks of four tokens in the response of a 4x4 puzzle.
_BLOCKS = {"attention": "block", "block_size": 4}
_VARIANTS: dict[str, dict[str, Any]] = {
    "lift3, one forward": {"method": "lift3", "one_forward": True},
    "lift3, one forward, soft": {"method": "lift3", "one_forward": True, "learnability": "soft"},
    "lift3, cache": {"method": "lift3", "score_source": "cache"},
    "lift3, frequency": {"method": "lift3", "score_source": "frequency"},
    "lift3, complementary": {"method": "lift3", "complementary": True},
}
METHODS_ALONE: dict[str, dict[str, Any]] = {name: {"method": name} for name in METHODS}
OBJECTIVES: dict[str, dict[str, Any]] = {
    **METHODS_ALONE,
    **_VARIANTS,
    **{f"{name}{IN_BLOCKS}": {"method": name, **_BLOCKS} for name, method in METHODS.items() if not method.whole_rows},
}


def with_density(options: dict[str, Any], folder: str) -> dict[str, Any]:
    """Return the options of an objective, with a file of uniform times in `folder` where its method needs a density.

    What a density says changes no cost.
    """
    if not METHODS[options["method"]].needs_density:
        return options
    path = Path(folder) / "density.json"
    write_time_density(path, DensityPoints((0.0, 1.0), (1.0, 1.0)), {})
    return {**options, "time_density": str(path)}
