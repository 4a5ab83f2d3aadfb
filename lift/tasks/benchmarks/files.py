"""The task files that come with the package, by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

BENCHMARKS: Mapping[str, Path] = MappingProxyType(
    {path.stem: path for path in sorted(Path(__file__).parents[1].glob("*/*.yaml"))}
)
"""Name -> YAML file, for `lift eval --tasks NAME` and `lm_eval --model lift --tasks FILE`."""

AS_TRAINED: Mapping[tuple[str | None, str], str] = MappingProxyType(
    {("sudoku", "sudoku_4x4"): "sudoku_4x4_clues", ("countdown", "countdown"): "countdown_numbers"}
)
"""(task of `lift train --task`, benchmark) -> the same benchmark as that training asks it: its model knows no words."""
