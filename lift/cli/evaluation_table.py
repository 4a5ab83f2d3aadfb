"""The table of `lift eval`: scores with their intervals, and what they depend on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lift.cli.text_table import text_table

_HEADER = ("task", "n", "metric", "score", "95 % interval", "forwards/token", "time")
_REMARKS = {
    "score_as_published": (
        "score is the right verdict, score_as_published LIFT's own scorer: never compare one with the other."
    ),
    "cells": "chance: 25 % of the cells.",
}


def table(tasks: Sequence[Mapping[str, Any]], model_info: Mapping[str, Any]) -> str:
    """Return the table of some tasks' records, as text."""
    rows: list[tuple[str, ...]] = []
    for task in tasks:
        for number, score in enumerate(task["scores"]):
            per_token = task["forwards_per_token"]
            first = (task["task"], str(task["num_documents"]))
            last = ("" if per_token is None else f"{per_token:.2f}", duration(task["seconds"]))
            shown = (score["name"], figure(score["value"], score["interval"]), interval_in_words(score["interval"]))
            rows.append((*(first if number == 0 else ("", "")), *shown, *(last if number == 0 else ("", ""))))
    return "\n".join(
        [text_table(_HEADER, rows, text_columns=(0, 2)), "", setting_in_words(model_info), *remarks(tasks)]
    )


def setting_in_words(model_info: Mapping[str, Any]) -> str:
    """Return what a score should be stated with."""
    return (
        f"device {model_info['device_name']}, dtype {model_info['dtype']}, batch size {model_info['batch_rows']}, "
        f"padding: {model_info['padding']}"
    )


def remarks(tasks: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return sentences on what some metrics of these tasks mean."""
    names = {score["name"] for task in tasks for score in task["scores"]}
    return [sentence for name, sentence in _REMARKS.items() if name in names]


def is_share(value: float, interval: Sequence[float] | None) -> bool:
    """Return whether a score lies, with its interval, in [0, 1]; perplexities do not."""
    return interval is not None and 0 <= value <= 1 and 0 <= interval[0] and interval[1] <= 1


def figure(value: float, interval: Sequence[float] | None) -> str:
    """Return a score as text, shares in per cent."""
    return f"{value:.2%}" if is_share(value, interval) else f"{value:.4g}"


def interval_in_words(interval: Sequence[float] | None) -> str:
    """Return an interval as text, empty where there is none."""
    if interval is None:
        return ""
    low, high = interval
    return f"{low:.1%} to {high:.1%}" if low >= 0 and high <= 1 else f"{low:.4g} to {high:.4g}"


def duration(seconds: float) -> str:
    """Return a time as text: 5.0 s, or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{seconds:.1f} s" if seconds < 60 else f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
