"""The file of a density of times, which `lift measure-t` writes and `time_density` names. It needs no torch."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

from lift.atomic_write import atomic_write
from lift.errors import LiftError

FORMAT = 1


class DensityPoints(NamedTuple):
    """A density over the times u in [0, 1], before their floor: linear between its points."""

    points: tuple[float, ...]
    """Ascending, from 0 to 1."""

    density: tuple[float, ...]
    """At each point, above 0, to any scale."""

    time_range: tuple[float, float] | None = None
    """The diffusion times t of u = 0 and u = 1 that it was measured at; None where nobody says."""


def write_time_density(path: Path, found: DensityPoints, record: Mapping[str, Any]) -> None:
    """Write a density and what is known of it, plain data; a reader finds the file whole or not at all."""
    content = {"format": FORMAT, **found._asdict(), **record}
    with atomic_write(path) as file:
        file.write(json.dumps(content, indent=1, ensure_ascii=False).encode() + b"\n")


def read_time_density(path: str | Path) -> DensityPoints:
    """Return the density of a file.

    Raises:
        LiftError: it is not there, or holds no density; one sentence names it and what is wrong.
    """
    try:
        content = json.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise LiftError(
            f"time_density {path} cannot be read: {error.strerror}: name a file of lift measure-t."
        ) from error
    except ValueError:  # of JSON, and of UTF-8
        content = None
    problem = "it is no JSON object" if not isinstance(content, dict) else _problem(content)
    if problem:
        raise LiftError(f"time_density {path} holds no density of times: {problem}. lift measure-t writes such a file.")
    time_range = content.get("time_range")
    return DensityPoints(
        tuple(map(float, content["points"])), tuple(map(float, content["density"])),
        None if time_range is None else (float(time_range[0]), float(time_range[1])),
    )  # fmt: skip


def _problem(content: Mapping[str, Any]) -> str:
    if content.get("format") != FORMAT:
        return f"its format is {content.get('format')!r}, and this version reads {FORMAT}"
    points, density, time_range = content.get("points"), content.get("density"), content.get("time_range")
    if not _are_numbers(points) or not _are_numbers(density) or len(points) != len(density) or len(points) < 2:
        return "points and density must be as many finite numbers, at least two"
    if points[0] != 0 or points[-1] != 1 or any(left >= right for left, right in pairwise(points)):
        return "points must ascend from 0 to 1"
    if min(density) <= 0:
        return "density must be above 0 everywhere, or some time would never be drawn"
    if time_range is not None and not (
        _are_numbers(time_range) and len(time_range) == 2 and 0 < time_range[0] <= time_range[1] <= 1
    ):
        return "time_range must be the lowest and the highest time, in (0, 1]"
    return ""


def _are_numbers(values: Any) -> TypeGuard[Sequence[float]]:
    return isinstance(values, Sequence) and all(
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) for value in values
    )
