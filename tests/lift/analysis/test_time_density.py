"""A model measured on a data set: what the density is made of, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from lift.analysis import measure_times
from lift.analysis.density_fit import density_of_times, mean_and_variance
from lift.analysis.loss_by_time import losses_by_time
from lift.analysis.measure import Example
from lift.errors import LiftError
from lift.models.batches import BatchSize
from lift.models.transformers_versions import keeps_packed_examples_apart
from lift_kernels import apply_lift_kernels
from tests.lift.analysis.conftest import MASK
from tests.lift.support.tiny import tiny_model

NEEDS_PAIRS = pytest.mark.skipif(
    not keeps_packed_examples_apart(), reason="this transformers' ModernBERT takes no mask of pairs"
)

SETTINGS = {"mask_token_id": MASK, "num_examples": 5, "num_times": 6, "num_masks": 3, "show_progress": False}


@pytest.fixture(scope="module")
def model():
    return apply_lift_kernels(tiny_model())


@pytest.mark.parametrize("block_size", [None, pytest.param(8, marks=NEEDS_PAIRS)])
def test_the_density_is_that_of_losses_of_rows_spread_over_the_set(model, rows, block_size):
    found = measure_times(model, rows, **SETTINGS, time_range=(0.2, 0.8), seed=3, block_size=block_size)
    chosen = [rows[i] for i in (0, 6, 12, 17, 23)]  # of 24
    examples = [
        Example(row["example_id"], np.array(row["input_ids"]), np.arange(len(row["input_ids"])) >= 2) for row in chosen
    ]
    u = np.arange(1, 6) / 6
    losses = losses_by_time(
        model, examples, (0.2 + 0.6 * u).tolist(), num_masks=3, mask_token_id=MASK, seed=3, batch_size=BatchSize(1),
        block_size=block_size,
    )  # fmt: skip
    mean, variance = mean_and_variance(losses)
    points, density = density_of_times(u, mean, variance, smoothing=1, floor=0.1)
    np.testing.assert_allclose(found.time, 0.2 + 0.6 * u)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-5)
    np.testing.assert_allclose(found.variance, variance, rtol=1e-4)
    np.testing.assert_allclose(found.density, density, rtol=1e-4)
    assert np.array_equal(found.points, points) and 0 < found.mean_square < 1
    assert found.num_units == (5 if block_size is None else sum(-(-len(row["input_ids"]) // 8) for row in chosen))


def test_it_is_a_function_of_the_seed(model, rows):
    first, same, other = (measure_times(model, rows, **SETTINGS, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.density, same.density) and not np.allclose(first.density, other.density)
    assert first.data == other.data != measure_times(model, rows.select(range(5)), **SETTINGS).data


def test_a_set_with_fewer_rows_is_taken_whole(model, rows):
    assert measure_times(model, rows.select(range(2)), **SETTINGS).num_units == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_masks": 1}, "num_masks must be at least 2, got 1"),
        ({"num_times": 1.5}, "num_times must be a whole number"),
        ({"floor": 0.0}, "floor must be above 0 and at most 1"),
        ({"smoothing": -1}, "smoothing must be at least 0"),
        ({"batch_size": 0}, "batch_size must be"),
    ],
)
def test_what_is_out_of_range_is_one_sentence(model, rows, options, words):
    with pytest.raises(LiftError, match=words):
        measure_times(model, rows, **SETTINGS | options)


def test_rows_without_a_response_are_one_sentence(model, rows):
    bare = rows.map(lambda row: {"prompt_length": len(row["input_ids"])})
    with pytest.raises(LiftError, match="no row has a response"):
        measure_times(model, bare, **SETTINGS)
