"""The task files that come with the package, by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

BENCHMARKS: Mapping[str, Path] = MappingProxyType(
    {path.stem: path for path in sorted(Path(__file__).parents[1].glob("*/*.yaml"))}
)
"""Name -> YAML file, for `lift eval --tasks NAME` and `lm_eval --model lift --tasks FILE`."""
