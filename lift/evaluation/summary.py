"""From verdicts to scores: the mean of each metric over documents, and its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from lift.statistics import Interval, bootstrap_interval, mean_pass_at_k, wilson_interval

VERDICTS = "verdicts"
"""The metric that holds the verdicts themselves."""


class Score(NamedTuple):
    """A metric over all documents of a task."""

    name: str
    """With lm-eval's filter behind a comma, where it is not the only one."""

    value: float
    interval: Interval | None
    """95 %: Wilson's for shares of right documents, else by the bootstrap over documents; None where a metric is no
    mean."""

    num_documents: int


def summarise(samples: Sequence[Mapping[str, Any]], results: Mapping[str, Any]) -> list[Score]:
    """Return the scores of a task.

    Args:
        samples: lm-eval's record of each document, and filter.
        results: lm-eval's figures, `metric,filter` -> value, for metrics that are no means.
    """
    by_filter: dict[str, list[Mapping[str, Any]]] = {}
    for sample in samples:
        by_filter.setdefault(sample["filter"], []).append(sample)
    scores = []
    for filter_name, documents in by_filter.items():
        names = dict.fromkeys(name for document in documents for name in document["metrics"] if name != VERDICTS)
        for name in names:
            shown = name if len(by_filter) == 1 else f"{name},{filter_name}"
            found = [document for document in documents if name in document]
            scores.append(_score(shown, name, found, results.get(f"{name},{filter_name}")))
    return scores


def _score(shown: str, name: str, documents: Sequence[Mapping[str, Any]], total: Any) -> Score:
    values, count = [document[name] for document in documents], len(documents)
    verdicts = [document.get(VERDICTS, ()) for document in documents]
    k = int(name.partition("@")[2]) if name.startswith("pass@") else 1
    if all(verdicts) and (k > 1 or (name == "score" and any(len(of_document) > 1 for of_document in verdicts))):
        samples = [len(of_document) for of_document in verdicts]
        correct = [sum(verdict["correct"] for verdict in of_document) for of_document in verdicts]
        value, interval = mean_pass_at_k(samples, correct, k)
        return Score(shown, value, interval, count)
    if all(isinstance(value, (tuple, list)) and len(value) == 2 for value in values) and _is_share(values, total):
        right, of = [float(value[0]) for value in values], [float(value[1]) for value in values]
        return Score(shown, sum(right) / max(1.0, sum(of)), bootstrap_interval(right, of) if any(of) else None, count)
    if not all(isinstance(value, (int, float)) for value in values):
        return Score(shown, float(total) if isinstance(total, (int, float)) else float("nan"), None, count)
    mean = sum(values) / count
    if isinstance(total, (int, float)) and abs(mean - total) > 1e-9 * max(1.0, abs(mean)):
        return Score(shown, float(total), None, count)  # lm-eval makes something else of the values than a mean
    if all(value in (0, 1) for value in values):
        return Score(shown, mean, wilson_interval(int(sum(values)), count), count)
    return Score(shown, mean, bootstrap_interval([float(value) for value in values]), count)


def _is_share(values: Sequence[Any], total: Any) -> bool:
    """Return whether lm-eval's figure is the pooled share of the pairs, which perplexities are not."""
    share = sum(value[0] for value in values) / max(1, sum(value[1] for value in values))
    return isinstance(total, (int, float)) and abs(share - total) < 1e-9
