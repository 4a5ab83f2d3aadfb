"""The table of `lift eval`: scores with their intervals, and what they depend on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lift.cli.text_table import text_table

_HEADER = ("task", "n", "metric", "score", "95 % interval", "forwards/token", "time")
_NOTE = "score is the right verdict, score_as_published LIFT's own scorer: never compare one with the other."


def table(tasks: Sequence[Mapping[str, Any]], model_info: Mapping[str, Any]) -> str:
    """Return the table of some tasks' records, as text."""
    rows: list[tuple[str, ...]] = []
    for task in tasks:
        for number, score in enumerate(task["scores"]):
            per_token = task["forwards_per_token"]
            first = (task["task"], str(task["num_documents"]))
            last = ("" if per_token is None else f"{per_token:.2f}", _duration(task["seconds"]))
            shown = (score["name"], _figure(score["value"], score["interval"]), _interval(score["interval"]))
            rows.append((*(first if number == 0 else ("", "")), *shown, *(last if number == 0 else ("", ""))))
    names = {score["name"] for task in tasks for score in task["scores"]}
    notes = [
        f"device {model_info['device_name']}, dtype {model_info['dtype']}, batch size {model_info['batch_rows']}, "
        f"padding: {model_info['padding']}"
    ]
    if "score_as_published" in names:
        notes.append(_NOTE)
    if "cells" in names:
        notes.append("chance: 25 % of the cells.")
    return "\n".join([text_table(_HEADER, rows, text_columns=(0, 2)), "", *notes])


def _figure(value: float, interval: Sequence[float] | None) -> str:
    is_share = 0 <= value <= 1 and interval is not None and 0 <= interval[0] and interval[1] <= 1
    return f"{value:.2%}" if is_share else f"{value:.4g}"


def _interval(interval: Sequence[float] | None) -> str:
    if interval is None:
        return ""
    low, high = interval
    return f"{low:.1%} to {high:.1%}" if low >= 0 and high <= 1 else f"{low:.4g} to {high:.4g}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{seconds:.1f} s" if seconds < 60 else f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
