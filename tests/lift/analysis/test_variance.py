"""The parts of a gradient's variance, against the textbook's analysis of variance and against the law they come from."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from lift.analysis.variance import PARTS, GradientVariance, pair_moments
from lift.errors import LiftError
from tests.lift.support.gradient_variance import nested_variances


def test_a_pair_gives_the_mean_squares_of_a_nested_design():
    generator = torch.Generator().manual_seed(0)
    shape = (2, 3, 4)
    given = {
        place: [torch.randn(5, 2, generator=generator).double(), torch.randn(3, generator=generator).double() + 1]
        for place in itertools.product(*map(range, shape))
    }
    flat = np.array([np.concatenate([t.flatten().numpy() for t in given[place]]) for place in given])
    draw = lambda row, time, mask: [t.clone() for t in given[row, time, mask]]  # noqa: E731
    moments = pair_moments(draw, (0, 1), num_times=3, num_masks=4)
    variance = GradientVariance([moments, moments])
    found = [variance.part(name).value for name in PARTS]
    assert found == pytest.approx(nested_variances(flat.reshape(*shape, -1)), rel=1e-12)
    assert moments[0] == pytest.approx((flat**2).sum(1).mean(), rel=1e-12)
    row_means = flat.reshape(2, 12, -1).mean(1)
    assert moments[3] == pytest.approx(row_means[0] @ row_means[1], rel=1e-12)


def test_estimates_are_unbiased_for_the_law_of_total_variance():
    """A gradient of three rows, two times and two masks with chances of their own, all enumerated."""
    rng = np.random.default_rng(0)
    of_row, of_time, of_mask = np.array([0.5, 0.3, 0.2]), np.array([0.7, 0.3]), np.array([0.4, 0.6])
    gradients = 0.5 + rng.normal(size=(3, 1, 1, 4)) + rng.normal(size=(3, 2, 1, 4)) + rng.normal(size=(3, 2, 2, 4))
    given_time = np.einsum("xtmp,m->xtp", gradients, of_mask)
    given_row = np.einsum("xtp,t->xp", given_time, of_time)
    mean = of_row @ given_row
    chance = of_row[:, None, None] * of_time[:, None] * of_mask
    truth = {
        "masks": (chance * ((gradients - given_time[:, :, None]) ** 2).sum(-1)).sum(),
        "times": (chance.sum(2) * ((given_time - given_row[:, None]) ** 2).sum(-1)).sum(),
        "data": (of_row * ((given_row - mean) ** 2).sum(-1)).sum(),
    }
    num_pairs = 1000
    rows = rng.choice(3, size=2 * num_pairs, p=of_row)
    times = rng.choice(2, size=(2 * num_pairs, 2), p=of_time)
    masks = rng.choice(2, size=(2 * num_pairs, 2, 2), p=of_mask)
    outcome = torch.from_numpy(gradients[rows[:, None, None], times[:, :, None], masks])
    draw = lambda row, time, mask: [outcome[row, time, mask].clone()]  # noqa: E731
    variance = GradientVariance(
        [pair_moments(draw, (2 * pair, 2 * pair + 1), num_times=2, num_masks=2) for pair in range(num_pairs)]
    )
    for found, expected in [
        *((variance.part(name), truth[name]) for name in PARTS), (variance.total, sum(truth.values())),
        (variance.signal, mean @ mean),
    ]:  # fmt: skip
        error = (found.interval.high - found.interval.low) / 3.92
        assert abs(found.value - expected) < 3 * error and error < 0.06 * sum(truth.values())


def test_shares_and_quotients_are_of_means_with_intervals_over_pairs():
    rng = np.random.default_rng(1)
    moments = np.sort(rng.uniform(1, 9, size=(30, 4)), 1)[:, ::-1]
    one, other = GradientVariance(moments), GradientVariance(2 * moments)
    total = (moments[:, 0] - moments[:, 3]).mean()
    assert one.share("times").value == pytest.approx((moments[:, 1] - moments[:, 2]).mean() / total)
    assert sum(one.share(name).value for name in PARTS) == pytest.approx(1)
    # On the same pairs the quotient of two methods has no more noise than its own.
    quotient = other.relative(one)
    assert (quotient.value, *quotient.interval) == pytest.approx((2.0, 2.0, 2.0))
    assert other.relative(one, "masks").value == pytest.approx(2 * one.share("masks").value)
    assert one.noise_scale.value == pytest.approx(total / moments[:, 3].mean())
    assert one.part("data").interval.low < one.part("data").value < one.part("data").interval.high


def test_a_quotient_by_what_may_be_nothing_is_not_known():
    assert GradientVariance([[4.0, 3.0, 2.0, 1.0], [4.0, 3.0, 2.0, -1.0]]).noise_scale is None


def test_gradients_of_nothing_do_not_vary():
    moments = pair_moments(lambda *_: [torch.zeros(3)], (0, 1), num_times=2, num_masks=2)
    variance = GradientVariance([moments, moments])
    assert moments == [0.0] * 4
    assert variance.share("masks") == (0.0, (0.0, 0.0)) and variance.relative(variance).value == 0.0


def test_half_precision_is_summed_in_single():
    """Four gradients whose sum bfloat16 would round to 4: 1, and three times 1 + 1/128."""
    draw = lambda row, time, mask: [torch.tensor([1.0 + (row + time + mask > 0) / 128]).bfloat16()]  # noqa: E731
    a, b = 1.0, 1 + 1 / 128
    moments = pair_moments(draw, (0, 1), num_times=2, num_masks=2)
    assert moments[1] == pytest.approx((a * b + 3 * b * b) / 4, rel=1e-6)
    assert moments[3] == pytest.approx((a + 3 * b) / 4 * b, rel=1e-6)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_gradient_that_is_not_finite_names_its_row(value):
    draw = lambda row, *_: [torch.full((2,), value if row == 7 else 0.0)]  # noqa: E731
    with pytest.raises(LiftError, match="the gradient of row 7 is not finite"):
        pair_moments(draw, (3, 7), num_times=2, num_masks=2)
