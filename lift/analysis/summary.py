"""What a report shows of a table, or of two with the same masks: read part by part, in constant memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from lift.analysis.selection import select
from lift.analysis.table import AnalysisTable, Columns, ratio_index
from lift.errors import LiftError
from lift.learnability.bands import BANDS, STEPS, band_of
from lift.statistics import ClusteredMeans
from lift.statistics.clustered import sums_by_example

CALIBRATION_BINS = 10
NUM_EXAMPLES = 6
_SAME_DRAWS = ("data", "ratios", "seed")

Grid = NDArray[np.float64]


class GroupMeans:
    """Means of several quantities over tokens by ratio and band, with intervals over examples."""

    def __init__(self, num_ratios: int, names: Sequence[str]) -> None:
        self._shape = (num_ratios, len(BANDS))
        self._found = {name: ClusteredMeans(num_ratios * len(BANDS)) for name in names}

    def add(self, part: Columns, ratio: NDArray[np.int64], band: NDArray[np.int64], values: Columns) -> None:
        """Add a part; ratio, band and each of the values are (N,)."""
        group, num_groups = ratio * len(BANDS) + band, self._shape[0] * self._shape[1]
        counts = sums_by_example(part["example"], group, np.ones(len(group)), num_groups)
        for name, found in self._found.items():
            found.add(sums_by_example(part["example"], group, values[name].astype(np.float64), num_groups), counts)

    def counts(self) -> Grid:
        """Return the number of tokens (ratio, band)."""
        return next(iter(self._found.values())).counts.reshape(self._shape)

    def means(self, name: str) -> Grid:
        """Return the mean (ratio, band)."""
        return self._found[name].means().reshape(self._shape)

    def half_widths(self, name: str) -> Grid:
        """Return half of the width of the 95 % interval (ratio, band)."""
        return self._found[name].half_widths().reshape(self._shape)


class Cells:
    """Sums of one quantity over the cells of a grid."""

    def __init__(self, *shape: int) -> None:
        self.counts, self._sums = np.zeros(shape), np.zeros(shape)

    def add(self, values: NDArray[np.float64] | NDArray[np.bool_], *index: NDArray[np.int64]) -> None:
        """Add values (N,) to the cells at their indices, each (N,)."""
        flat = np.ravel_multi_index(index, self.counts.shape)
        for sums, weights in ((self.counts, None), (self._sums, values)):
            sums += np.bincount(flat, weights=weights, minlength=sums.size).reshape(sums.shape)

    def means(self) -> Grid:
        """Return the mean of each cell; NaN where it is empty."""
        with np.errstate(invalid="ignore"):
            return self._sums / self.counts


@dataclass
class Summary:
    """All that a report shows of one table. Grids are (ratio, band) unless said otherwise."""

    table: AnalysisTable
    groups: GroupMeans
    """Of `confidence`, `correct`, `gold` (its probability) and `log_prob`."""

    heat: Cells
    """Gold log-probability by (ratio, step of frequency)."""

    kept: Cells
    """Share of the masked tokens that lift3 keeps, by (time, band)."""

    kept_gold: Cells
    """Gold probability by (time, 0: put back, 1: kept)."""

    bin_confidence: Cells
    """Confidence by (ratio, bin of confidence)."""

    bin_correct: Cells
    """Share of correct predictions by (ratio, bin of confidence)."""

    tokens: Cells
    """Gold log-probability by token (V,)."""

    seen_at: NDArray[np.int64]
    """(V, 2) an example and a position where each token was masked; -1 where it never was."""

    example_log_prob: dict[int, dict[int, dict[int, float]]]
    """Gold log-probability of the first examples, by example, ratio index and position."""

    @property
    def ratios(self) -> list[float]:
        """Mask ratios, ascending."""
        return self.table.ratios


def summarise(table: AnalysisTable) -> Summary:
    """Read a table once.

    Raises: LiftError if there is none, it lacks parts, or no token was masked.
    """
    settings, num_ratios = table.settings, len(table.ratios)
    vocab_size, num_tokens = settings["vocab_size"], settings["num_tokens"]
    summary = Summary(
        table, GroupMeans(num_ratios, ("confidence", "correct", "gold", "log_prob")),
        Cells(num_ratios, len(BANDS) * STEPS), Cells(num_ratios, len(BANDS)), Cells(num_ratios, 2),
        Cells(num_ratios, CALIBRATION_BINS), Cells(num_ratios, CALIBRATION_BINS), Cells(vocab_size),
        np.full((vocab_size, 2), -1), {},
    )  # fmt: skip
    for part in table.parts():
        ratio = ratio_index(part, table.ratios)
        band = band_of(part["frequency"], num_tokens)
        gold, correct = np.exp(part["log_prob"]), part["prediction"] == part["token"]
        values = {"confidence": part["confidence"], "correct": correct, "gold": gold, "log_prob": part["log_prob"]}
        summary.groups.add(part, ratio, band, values)
        summary.heat.add(part["log_prob"], ratio, band_of(part["frequency"], num_tokens, steps=STEPS))
        bins = np.clip((part["confidence"] * CALIBRATION_BINS).astype(np.int64), 0, CALIBRATION_BINS - 1)
        summary.bin_confidence.add(part["confidence"], ratio, bins)
        summary.bin_correct.add(correct, ratio, bins)
        summary.tokens.add(part["log_prob"], part["token"])
        for time, at, is_kept in select(part, table.ratios, method="lift3", seed=settings["seed"]):
            times = np.full(len(at), time)
            summary.kept.add(is_kept, times, band[at])
            summary.kept_gold.add(gold[at], times, is_kept.astype(np.int64))
        _note_places(summary.seen_at, part)
        _note_examples(summary.example_log_prob, part, ratio)
    if not summary.tokens.counts.any():
        raise LiftError(f"{table.folder} has no masked token: analyse more rows, or at higher ratios.")
    return summary


@dataclass
class Gain:
    """What the second of two tables gained over the first, in nats of gold log-probability, token by token."""

    groups: GroupMeans
    """Of `log_prob`, by (ratio, band)."""

    heat: Cells
    """By (ratio, step of frequency)."""

    tokens: Cells
    """By token (V,)."""


def gain(first: AnalysisTable, second: AnalysisTable) -> Gain:
    """Compare two tables of the same masks.

    Raises: LiftError if they are of other data, ratios or seeds.
    """
    for name in _SAME_DRAWS:
        if first.settings[name] != second.settings[name]:
            raise LiftError(
                f"{first.folder} and {second.folder} differ in {name}, so their masks do too: analyse both with the "
                "same data, ratios and seed."
            )
    num_ratios, settings = len(first.ratios), first.settings
    found = Gain(
        GroupMeans(num_ratios, ("log_prob",)), Cells(num_ratios, len(BANDS) * STEPS), Cells(settings["vocab_size"])
    )
    for part, other in zip(first.parts(), second.parts(), strict=True):
        ratio = ratio_index(part, first.ratios)
        difference = other["log_prob"].astype(np.float64) - part["log_prob"]
        band = band_of(part["frequency"], settings["num_tokens"])
        found.groups.add(part, ratio, band, {"log_prob": difference})
        found.heat.add(difference, ratio, band_of(part["frequency"], settings["num_tokens"], steps=STEPS))
        found.tokens.add(difference, part["token"])
    return found


def _note_places(seen_at: NDArray[np.int64], part: Columns) -> None:
    tokens, first = np.unique(part["token"], return_index=True)
    is_new = seen_at[tokens, 0] < 0
    seen_at[tokens[is_new]] = np.stack([part["example"], part["position"]], 1)[first[is_new]]


def _note_examples(found: dict[int, dict[int, dict[int, float]]], part: Columns, ratio: NDArray[np.int64]) -> None:
    for number in islice(np.unique(part["example"]), max(0, NUM_EXAMPLES - len(found))):
        at = part["example"] == number
        by_ratio = found.setdefault(int(number), {})
        for index, position, value in zip(ratio[at], part["position"][at], part["log_prob"][at], strict=True):
            by_ratio.setdefault(int(index), {})[int(position)] = float(value)
