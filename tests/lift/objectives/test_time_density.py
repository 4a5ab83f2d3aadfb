"""Times by a density: against brute-force integrals, and what the weighted loss is in the mean."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from lift.objectives import LiftOptions, diffusion_time, draw_time
from lift.objectives.block_times import draw_block_times
from lift.objectives.blocks import Blocks
from lift.objectives.micro_batch import Draws, build_training_batch
from lift.objectives.time_density import TimeDensity
from tests.lift.support.clean_rows import DENSITY, NUM_ROWS, clean_rows

SHAPES = {
    "falling": ([0, 0.2, 1], [3, 1, 0.2]),
    "rising": ([0, 1], [1e-9, 1]),
    "ragged": ([0, 1e-3, 0.4, 0.7, 1], [1e-6, 50, 0.5, 0.5, 9]),
}
UNIFORM = (torch.arange(1 << 12, dtype=torch.float64) + 0.5) / (1 << 12)


def integral(points, heights):
    return float((np.diff(points) * (heights[1:] + heights[:-1]) / 2).sum())


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_as_much_of_the_density_lies_below_a_time_as_of_the_draws(shape):
    points, heights = (np.array(values, dtype=np.float64) for values in shape)
    heights = heights / integral(points, heights)
    times, importance = TimeDensity(*shape).draw(UNIFORM)
    for uniform, time, weight in zip(UNIFORM[::97], times[::97].tolist(), importance[::97].tolist(), strict=True):
        below = np.append(points[points < time], time)
        assert integral(below, np.interp(below, points, heights)) == pytest.approx(float(uniform), abs=1e-12)
        assert weight == pytest.approx(1 / np.interp(time, points, heights), rel=1e-6)
    assert (times.diff() > 0).all() and times.min() >= 0 and times.max() <= 1


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("power", [0, 1, 5])
def test_the_weighted_mean_is_the_uniform_one(shape, power):
    """By midpoints in the uniform draw, of u^k, whose integral is 1 / (k + 1)."""
    times, importance = TimeDensity(*shape).draw(UNIFORM)
    assert (times**power * importance).mean().item() == pytest.approx(1 / (power + 1), rel=5e-3)


def test_a_density_that_is_the_same_everywhere_changes_no_bit():
    draws = torch.cat([torch.arange(1 << 12), torch.arange(0, 1 << 24, 4099), torch.tensor([(1 << 24) - 1])])
    uniform = draws.to(torch.float32) * 2.0**-24
    times, importance = TimeDensity([i / 30 for i in range(31)], [1.7] * 31).draw(uniform)
    assert torch.equal(times, uniform) and (importance == 1).all() and importance.dtype == torch.float32


def test_the_weight_has_a_limit():
    importance = TimeDensity([0, 1], [1e-9, 1]).draw(UNIFORM, max_importance=7.0)[1]
    assert importance.max() == 7 and importance.min() < 1


def test_strata_stay_strata():
    """Draws that lie one in each of n equal parts give times with 1/n of the density between neighbours."""
    density, ids = TimeDensity(*SHAPES["ragged"]), torch.arange(5)
    blocks = Blocks.of_rows(5, 32, 4)
    options = LiftOptions(timestep_distribution="low_discrepancy")
    uniform = draw_block_times(options, 3, ids, blocks, position=ids, num_rows=5)
    times = density.draw(uniform.double())[0]
    edges = density.draw(torch.arange(41, dtype=torch.float64) / 41 * (41 / 40))[0]
    assert torch.bucketize(times.sort().values, edges[1:40]).tolist() == list(range(40))


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("ppots", {}),
        ("mirror", {"time_density": DENSITY}),
        ("sft", {"time_density": DENSITY, "complementary": True}),
        ("sft", {}),
    ],
    ids=str,
)
def test_the_loss_is_that_of_sft_in_the_mean(method, options):
    """Of a row of n tokens whose m masked ones cost m each, which is n + n (n - 1) mean(t) in the mean for SFT."""
    repeats = 400
    rows = clean_rows(method, pad_in_loss=False, **options)
    ids = torch.arange(NUM_ROWS * repeats)
    uniform = draw_time("low_discrepancy", 5, ids, position=ids * 1237 % len(ids), num_rows=len(ids)).double()
    importance = None
    if method == "ppots" or options:
        uniform, importance = TimeDensity([0, 0.25, 0.5, 1], [4, 1, 0.5, 0.75]).draw(uniform)
    rows = replace(
        rows, clean_ids=rows.clean_ids.repeat(repeats, 1), maskable=rows.maskable.repeat(repeats, 1), example_id=ids,
        draws=Draws(uniform, diffusion_time(uniform), importance=importance), lengths=None, attention_mask=None,
    )  # fmt: skip
    prepared = build_training_batch(rows)
    is_masked = prepared.batch.labels != -100
    cost = is_masked.sum(1, keepdim=True) * prepared.batch.token_weight * is_masked
    per_row = cost.sum(1).double().view(-1, len(ids)).mean(0)
    n = rows.maskable.sum(1).double()
    truth = n + n * (n - 1) * (1 + 1e-3) / 2
    standard_error = (per_row - truth).std() / len(ids) ** 0.5
    assert abs((per_row - truth).mean()) < 4 * standard_error < 0.08 * truth.mean()
