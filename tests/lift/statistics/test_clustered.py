"""Means of tokens that hang together: against the bootstrap over examples, and what parts change."""

from __future__ import annotations

import numpy as np

from lift.statistics import ClusteredMeans, bootstrap_interval
from lift.statistics.clustered import sums_by_example


def rows(rng, num_examples=400):
    """Examples of unequal length whose tokens have much in common."""
    counts = rng.integers(1, 30, num_examples).astype(float)
    return counts * (rng.normal(size=num_examples) + 1), counts


def test_the_interval_is_that_of_the_bootstrap_over_examples():
    sums, counts = rows(np.random.default_rng(0))
    found = ClusteredMeans(1)
    found.add(sums[:, None], counts[:, None])
    low, high = bootstrap_interval(sums, counts)
    assert found.means()[0] == sums.sum() / counts.sum() and found.counts[0] == counts.sum()
    np.testing.assert_allclose(found.half_widths()[0], (high - low) / 2, rtol=0.05)
    assert found.half_widths()[0] > 3 * 1.96 / np.sqrt(counts.sum())  # as if tokens were independent


def test_parts_add_up_and_groups_stay_apart():
    rng = np.random.default_rng(1)
    (sums, counts), (others, other_counts) = rows(rng), rows(rng)
    whole, parts = ClusteredMeans(3), ClusteredMeans(3)
    table = np.stack([sums, others, np.zeros_like(sums)], 1), np.stack([counts, other_counts, 0 * counts], 1)
    whole.add(*table)
    for part in (slice(0, 7), slice(7, 7), slice(7, None)):
        parts.add(table[0][part], table[1][part])
    np.testing.assert_allclose(parts.half_widths(), whole.half_widths(), rtol=1e-9)
    assert np.isnan(whole.means()).tolist() == [False, False, True]
    assert np.isnan(whole.half_widths()).tolist() == [False, False, True]


def test_one_example_has_no_interval():
    found = ClusteredMeans(1)
    found.add(np.array([[3.0]]), np.array([[4.0]]))
    assert found.means()[0] == 0.75 and np.isnan(found.half_widths()[0])


def test_sums_by_example():
    example, group = np.array([7, 3, 7, 7]), np.array([0, 1, 1, 1])
    found = sums_by_example(example, group, np.array([1.0, 2.0, 4.0, 8.0]), 2)
    assert found.tolist() == [[0.0, 2.0], [1.0, 12.0]]
    assert sums_by_example(example[:0], group[:0], np.zeros(0), 2).shape == (0, 2)
