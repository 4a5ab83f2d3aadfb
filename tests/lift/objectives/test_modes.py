from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lift.objectives import (
    EASY,
    HARD,
    MIDDLE,
    choose_order,
    diffusion_time,
    draw_order,
    num_to_keep,
    overmask_rate,
)


def test_lift3_switches_at_one_third_and_two_thirds():
    """The neighbouring float32 times where the published code was measured to switch."""
    time = torch.tensor([0.001, 0.33333328, 0.33333331, 0.5, 0.66666669, 0.66666675, 1.0])
    assert choose_order(time, "lift3").tolist() == [HARD, HARD, MIDDLE, MIDDLE, MIDDLE, EASY, EASY]


def test_lift2_switches_at_one_half():
    assert choose_order(torch.tensor([0.001, 0.4999999, 0.5, 1.0]), "lift2").tolist() == [HARD, HARD, EASY, EASY]


def test_bands_are_thirds():
    order = choose_order(torch.arange(1, 30_001) / 30_000, "lift3")
    for mode in (EASY, MIDDLE, HARD):
        assert (order == mode).float().mean().item() == pytest.approx(1 / 3, abs=1e-4)


def test_a_batch_takes_the_mode_of_its_mean_time():
    time = torch.tensor([0.15, 0.55, 0.95])
    assert choose_order(time, "lift3").tolist() == [HARD, MIDDLE, EASY]
    assert choose_order(time, "lift3", scope="batch").tolist() == [MIDDLE] * 3
    assert choose_order(time, "lift2", scope="batch").tolist() == [EASY] * 3


@pytest.mark.parametrize(("method", "mode"), [("easy", EASY), ("middle", MIDDLE), ("hard", HARD)])
def test_a_method_of_one_mode_takes_it_always(method, mode):
    time = torch.tensor([0.001, 0.5, 1.0])
    assert choose_order(time, method).tolist() == [mode] * 3
    assert draw_order(torch.tensor([0, 2**32 - 1]), method).tolist() == [mode] * 2


@pytest.mark.parametrize(("method", "modes"), [("lift2", {EASY, HARD}), ("lift3", {EASY, MIDDLE, HARD})])
def test_random_modes_are_uniform(method, modes):
    order = draw_order(torch.arange(0, 2**32, 2**20), method)
    assert set(order.tolist()) == modes
    for mode in modes:
        assert (order == mode).float().mean().item() == pytest.approx(1 / len(modes), abs=1e-3)


def test_unknown_names_are_errors():
    with pytest.raises(ValueError, match="method must be one of lift2, lift3, margin, easy, middle, hard, got 'sft'"):
        choose_order(torch.ones(1), "sft")
    with pytest.raises(ValueError, match="scope must be one of row, batch, got 'rank'"):
        choose_order(torch.ones(1), "lift3", scope="rank")


def test_num_to_keep_rounds_half_to_even_and_keeps_one_in_the_middle():
    half = torch.full((6,), 0.5)
    order = torch.tensor([EASY, HARD, EASY, MIDDLE, MIDDLE, MIDDLE])
    masked = torch.tensor([1, 3, 5, 1, 0, 5])
    assert num_to_keep(masked, half, half, order).tolist() == [0, 2, 2, 1, 0, 2]


def test_min_keep_is_a_floor_in_every_mode():
    order = torch.tensor([EASY, HARD, MIDDLE, MIDDLE, HARD])
    masked = torch.tensor([9, 2, 9, 0, 9])
    low, high = torch.full((5,), 0.01), torch.full((5,), 0.9)
    assert num_to_keep(masked, low, high, order, min_keep=3).tolist() == [3, 2, 3, 0, 3]
    assert num_to_keep(masked, low, high, order, min_keep=0).tolist() == [0, 0, 0, 0, 0]
    assert num_to_keep(masked, high, low, order, min_keep=3).tolist() == [9, 2, 9, 0, 9]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 500), st.floats(1e-3, 1), st.floats(0, 1), st.sampled_from([EASY, MIDDLE, HARD]))
def test_num_to_keep_stays_within_the_masked(masked, time, rate, mode):
    kept = num_to_keep(torch.tensor([masked]), torch.tensor([time]), torch.tensor([rate]), torch.tensor([mode])).item()
    assert 0 <= kept <= masked
    assert abs(kept - masked * time / (time + rate)) <= 1 or mode == MIDDLE


def test_rounding_at_random_is_exact_in_the_mean_and_to_the_nearest_is_not_in_small_rows():
    """Weights 1/t: the sum over kept tokens of 1/t, in the mean over rates, is the number masked at t alone."""
    generator = torch.Generator().manual_seed(0)
    num_rows = 100_000
    u, v, s = torch.rand(3, num_rows, generator=generator).double()
    time = diffusion_time(u)
    rho = overmask_rate(u, v)
    num_masked = (torch.rand(num_rows, 4, generator=generator) < (time + rho)[:, None]).sum(1)
    order = choose_order(time, "lift3")
    exact = num_masked * time / (time + rho)
    found = num_to_keep(num_masked, time, rho, order, uniform=s)
    assert ((found - exact).abs() < 1).all() and (found <= num_masked).all()
    assert (found - exact).mean().abs() < 3e-3
    hard = order == HARD
    assert (found / time)[hard].sum() / (exact / time)[hard].sum() == pytest.approx(1, abs=0.02)
    nearest = num_to_keep(num_masked, time, rho, torch.full_like(order, HARD))
    assert (nearest / time)[hard].sum() / (exact / time)[hard].sum() < 0.85


def test_rounding_at_random_keeps_a_least_number_where_asked():
    time, rho = torch.tensor([0.01, 0.5]), torch.tensor([0.9, 0.0])
    masked, order = torch.tensor([3, 4]), torch.tensor([MIDDLE, MIDDLE])
    uniform = torch.tensor([0.9, 0.9])
    assert num_to_keep(masked, time, rho, order, uniform=uniform).tolist() == [0, 4]
    assert num_to_keep(masked, time, rho, order, uniform=uniform, min_keep=1).tolist() == [1, 4]
