"""What a report shows, against the whole table at once; and what a second model gained."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lift.analysis.selection import select
from lift.analysis.summary import NUM_EXAMPLES, gain, summarise
from lift.errors import LiftError
from lift.learnability.bands import band_of


@pytest.fixture(scope="module")
def whole(table):
    parts = list(table.parts())
    assert len(parts) > 3
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    ratio = np.searchsorted(np.float32(table.ratios), columns["ratio"])
    return columns, ratio, band_of(columns["frequency"], table.settings["num_tokens"])


@pytest.fixture(scope="module")
def summary(table):
    return summarise(table)


def test_means_by_ratio_and_band(summary, whole):
    columns, ratio, band = whole
    truth = {
        "confidence": columns["confidence"], "correct": columns["prediction"] == columns["token"],
        "gold": np.exp(columns["log_prob"]), "log_prob": columns["log_prob"],
    }  # fmt: skip
    assert len(set(band)) == 2
    for name, values in truth.items():
        means = summary.groups.means(name)
        for place in np.ndindex(means.shape):
            at = (ratio == place[0]) & (band == place[1])
            assert summary.groups.counts()[place] == at.sum()
            assert math.isnan(means[place]) if not at.any() else means[place] == pytest.approx(values[at].mean())
    assert (summary.groups.half_widths("gold")[-1, :2] > 0).all()


def test_grids_tokens_and_calibration(summary, whole):
    columns, ratio, _ = whole
    assert summary.heat.counts.sum() == len(ratio) == summary.bin_correct.counts.sum()
    for token in range(8):
        at = columns["token"] == token
        assert summary.tokens.counts[token] == at.sum()
        if at.any():
            assert summary.tokens.means()[token] == pytest.approx(columns["log_prob"][at].mean(), rel=1e-5)
            example, position = summary.seen_at[token]
            assert token in columns["token"][(columns["example"] == example) & (columns["position"] == position)]
        else:
            assert summary.seen_at[token].tolist() == [-1, -1]
    bins = (columns["confidence"] * 10).astype(int)
    at = (ratio == 3) & (bins == 1)
    assert summary.bin_confidence.means()[3, 1] == pytest.approx(columns["confidence"][at].mean(), rel=1e-5)
    assert summary.bin_correct.means()[3, 1] == (columns["prediction"] == columns["token"])[at].mean()


def test_what_lift3_keeps_in_each_band(summary, whole, table):
    columns, _, band = whole
    kept = np.zeros_like(summary.kept.counts)
    counts = np.zeros_like(kept)
    for time, at, is_kept in select(columns, table.ratios, method="lift3", seed=table.settings["seed"]):
        np.add.at(kept, (time, band[at]), is_kept)
        np.add.at(counts, (time, band[at]), 1)
    assert np.array_equal(summary.kept.counts, counts) and counts[-1].sum() == 0 < counts[0].sum()
    np.testing.assert_allclose(summary.kept.means()[counts > 0], (kept / np.maximum(counts, 1))[counts > 0])
    gold = summary.kept_gold.means()
    assert gold[0, 1] < gold[0, 0] and gold[4, 1] > gold[4, 0]  # hard keeps what is unlikely, easy what is likely


def test_the_first_examples_are_kept_whole(summary, whole):
    columns, ratio, _ = whole
    found = summary.example_log_prob
    assert list(found) == sorted(set(columns["example"]))[:NUM_EXAMPLES]
    for number, by_ratio in found.items():
        for index, by_position in by_ratio.items():
            at = (columns["example"] == number) & (ratio == index)
            assert by_position == dict(zip(columns["position"][at], columns["log_prob"][at], strict=True))


def test_a_gain_is_the_difference_of_two_models_on_the_same_masks(table, make_table, tmp_path, summary):
    other = make_table(tmp_path, model_seed=1)
    found, second = gain(table, other), summarise(other)
    expected = second.groups.means("log_prob") - summary.groups.means("log_prob")
    np.testing.assert_allclose(found.groups.means("log_prob"), expected, atol=1e-6)
    assert np.nanmax(abs(expected)) > 1e-3
    np.testing.assert_allclose(found.tokens.means(), second.tokens.means() - summary.tokens.means(), atol=1e-6)


def test_other_masks_are_not_compared(table, make_table, tmp_path):
    with pytest.raises(LiftError, match="differ in seed, so their masks do too"):
        gain(table, make_table(tmp_path, seed=1))
