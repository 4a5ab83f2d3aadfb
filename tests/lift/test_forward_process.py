from __future__ import annotations

import pytest
import torch

from lift.forward_process import diffusion_time, draw_mode_words, draw_uniforms, overmask_rate, step_seed


def test_seeds_of_steps_are_distinct_and_in_range():
    seeds = {step_seed(seed, step) for seed in range(20) for step in range(-1, 500)}
    assert len(seeds) == 20 * 501
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_draws_depend_on_the_example_and_the_seed_alone():
    ids = torch.tensor([5, 900, 3, 2**40])
    together = draw_uniforms(7, ids)
    for i in range(4):
        alone = draw_uniforms(7, ids[i : i + 1])
        assert all(torch.equal(a, b[i : i + 1]) for a, b in zip(alone, together, strict=True))
    assert not torch.equal(together[0], draw_uniforms(8, ids)[0])
    assert not torch.equal(together[0], together[1])


def test_draws_are_uniform_and_independent():
    first, second = draw_uniforms(0, torch.arange(20_000))
    third = draw_mode_words(0, torch.arange(20_000)) / 2.0**32
    draws = torch.stack([first, second, third]).double()
    assert ((draws >= 0) & (draws < 1)).all()
    assert (draws.mean(1) - 0.5).abs().max() < 4 * (1 / 12 / 20_000) ** 0.5
    assert (torch.corrcoef(draws) - torch.eye(3)).abs().max() < 4 / 20_000**0.5


def test_time_has_a_floor():
    time = diffusion_time(torch.tensor([0.0, 0.5, 1.0]), epsilon=0.01)
    torch.testing.assert_close(time, torch.tensor([0.01, 0.505, 1.0]))


def test_overmask_rate_fills_its_interval():
    time = torch.tensor([0.2, 0.2, 0.95, 0.95])
    rate = overmask_rate(time, torch.tensor([0.0, 1.0, 0.0, 1.0]), min_rho=0.1)
    torch.testing.assert_close(rate, torch.tensor([0.1, 0.8, 0.0, 0.05]))


def test_expectations_of_the_published_process():
    """E[rho] = 0.295, E[t / (t + rho)] = 0.598, mean mask rate 0.796, as measured on the published collator."""
    uniform_time, uniform_rho = (u.double() for u in draw_uniforms(1, torch.arange(200_000)))
    time, rate = diffusion_time(uniform_time), overmask_rate(uniform_time, uniform_rho)
    assert rate.mean().item() == pytest.approx(0.295, abs=2e-3)
    assert (time / (time + rate)).mean().item() == pytest.approx(0.598, abs=2e-3)
    assert (time + rate).mean().item() == pytest.approx(0.796, abs=2e-3)
    assert (time + rate).max() <= 1.001
