"""Tables of Markdown: predicted and found, each method in each setting, likelihood by mask rate, and the starts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.study.comparisons import OUTCOMES, Comparison, Found, Outcome, Runs, compare, values_of
from benchmarks.study.judging import MASK_RATES
from benchmarks.study.plan import Plan
from benchmarks.study.predictions import Prediction
from benchmarks.study.statistics import Difference, holm, sign_flip_p_value

REFERENCE = "sft"
_ALPHA = 0.05


def predictions_table(runs: Runs, predictions: Sequence[Prediction]) -> str:
    """Return every prediction beside what was found; the primaries with Holm's correction."""
    found = [compare(runs, prediction.comparison) for prediction in predictions]
    p_values = {  # a primary that is not there yet still belongs to the family
        number: 1.0 if result is None else result.by_start.p_value
        for number, result in enumerate(found)
        if predictions[number].is_primary
    }
    adjusted = dict(zip(p_values, holm([*p_values.values()]), strict=True))
    rows = []
    for number, (prediction, result) in enumerate(zip(predictions, found, strict=True)):
        of, outcome = prediction.comparison, OUTCOMES[prediction.comparison.outcome]
        name = f"{of.method} - {of.against}" + (" (**primary**)" if prediction.is_primary else "")
        predicted = prediction.verdict + (f" ({prediction.explored})" if prediction.explored else "")
        row = [of.setting, outcome.name, name, predicted]
        if result is not None:
            p = f"{result.by_start.p_value:.2g}" + (f", Holm {adjusted[number]:.2g}" if number in adjusted else "")
            row += [
                _words(result, adjusted.get(number)), _interval(result.by_start, outcome), p,
                _interval(result.by_run, outcome), f"{sign_flip_p_value(result.differences):.2g}",
                _wins(result.differences),
            ]  # fmt: skip
        rows.append(row)
    header = (
        "setting", "outcome", "comparison", "predicted", "found", "by start", "p (t)", "by run",
        "p (sign-flip)", "runs above 0",
    )  # fmt: skip
    return markdown(header, rows)


def methods_table(runs: Runs, setting: str, methods: Iterable[str], outcomes: Sequence[str]) -> str:
    """Return means of `outcomes`, and below each its difference from SFT of equal steps by start."""
    rows = []
    for method in methods:
        values = {name: [*values_of(runs, setting, method, name).values()] for name in outcomes}
        if not values[outcomes[0]]:
            continue
        row = [method, str(len(values[outcomes[0]]))]
        for name in outcomes:
            outcome = OUTCOMES[name]
            found = compare(runs, Comparison(setting, name, method, REFERENCE)) if method != REFERENCE else None
            beside = f"<br>{_interval(found.by_start, outcome)}" if found else ""
            row.append(f"{np.mean(values[name]):.{outcome.digits}f}{beside}")
        rows.append(row)
    return markdown(("method", "runs", *(OUTCOMES[name].name for name in outcomes)), rows)


def differences_table(runs: Runs, setting: str, pairs: Iterable[tuple[str, str]], outcomes: Sequence[str]) -> str:
    """Return the differences by start of each method from the one beside it."""
    rows = []
    for method, against in pairs:
        found = {name: compare(runs, Comparison(setting, name, method, against)) for name in outcomes}
        cells = [_interval(result.by_start, OUTCOMES[name]) for name, result in found.items() if result is not None]
        if cells:
            rows.append([f"{method} - {against}", *cells])
    return markdown(("comparison", *(OUTCOMES[name].name for name in outcomes)), rows)


def likelihood_table(runs: Runs, setting: str, methods: Iterable[str]) -> str:
    """Return the mean NLL at each mask rate."""
    rows = []
    for method in methods:
        nll = [found["nll_by_rate"] for job, found in runs.items() if (job.setting, job.method) == (setting, method)]
        if nll:
            rows.append([method, *(f"{value:.4f}" for value in np.mean(nll, axis=0))])
    return markdown(("method", *(f"t = {rate:g}" for rate in MASK_RATES)), rows)


def starts_table(lines: Iterable[Mapping[str, Any]], plan: Plan) -> str:
    """Return how far each half-way model was, on the rows that its runs are judged by."""
    rows = [
        [
            line["job"]["setting"], str(line["job"]["start"]), str(line["found"]["rounds"] * plan.round_steps),
            *(f"{line['found'][name]:.1%}" for name in ("calibration", "answers", "responses")),
        ]
        for line in lines if line.get("job", {}).get("kind") == "half-way"
    ]  # fmt: skip
    header = ("setting", "start", "steps", "whole responses, calibration", "answers, test", "whole responses, test")
    return markdown(header, sorted(rows))


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of Markdown; short rows are filled with empty cells."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join([*row, *[""] * (len(header) - len(row))]) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _interval(difference: Difference, outcome: Outcome) -> str:
    if not math.isfinite(difference.low):
        return f"{difference.mean:+.{outcome.digits}f}"
    return (
        f"{difference.mean:+.{outcome.digits}f} "
        f"[{difference.low:+.{outcome.digits}f}, {difference.high:+.{outcome.digits}f}]"
    )


def _words(found: Found, adjusted: float | None) -> str:
    """Return the verdict, what Holm's correction leaves of it, and where runs say otherwise than half-way models."""
    words = [found.verdict]
    if adjusted is not None and adjusted >= _ALPHA and found.verdict in ("better", "worse"):
        words.append("not after correction")
    if found.verdict_by_run != found.verdict:
        words.append(f"by run {found.verdict_by_run}")
    return ", ".join(words)


def _wins(differences: Sequence[float]) -> str:
    return f"{sum(difference > 0 for difference in differences)} of {len(differences)}"
