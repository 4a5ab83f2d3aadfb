from __future__ import annotations

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lift.objectives.forward_process import (
    DISCRETE_TIMES,
    TIME_DISTRIBUTIONS,
    diffusion_time,
    discrete_time,
    draw_mode_words,
    draw_time,
    draw_uniforms,
    evaluation_place,
    evaluation_time,
    overmask_rate,
    step_seed,
)
from lift_kernels import reference


def test_seeds_of_steps_are_distinct_and_in_range():
    seeds = {step_seed(seed, step) for seed in range(20) for step in range(-1, 500)}
    assert len(seeds) == 20 * 501
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_the_seed_of_a_step_is_an_output_of_splitmix64():
    """The generator's first outputs for the seed 0, as its authors' code prints them, in 63 bits."""
    outputs = (0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F)
    assert [step_seed(0, step) for step in range(3)] == [word >> 1 for word in outputs]


def test_draws_are_words_of_the_reference_generator():
    ids, seed = torch.tensor([5, 900, 2**40]), 7
    for position, draws in enumerate(draw_uniforms(seed, ids)):
        words = [reference.random_word(seed, example, position, 2) for example in ids.tolist()]
        assert draws.tolist() == [(word >> 8) / 2**24 for word in words]
    assert draw_mode_words(seed, ids).tolist() == [
        reference.random_word(seed, example, 2, 2) for example in ids.tolist()
    ]
    assert draw_mode_words(seed, ids, micro_batch=4).tolist() == [reference.random_word(seed, 4, 2, 3)] * 3


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


def test_a_mode_word_may_be_shared_by_a_micro_batch():
    ids = torch.arange(6)
    words = [draw_mode_words(7, ids, micro_batch=i) for i in range(500)]
    assert all(w.shape == (6,) and (w == w[0]).all() for w in words)
    assert torch.equal(words[3], draw_mode_words(7, ids + 100, micro_batch=3))
    first = torch.stack([w[0] for w in words]) / 2.0**32
    assert len(first.unique()) == 500 and first.mean().item() == pytest.approx(0.5, abs=0.06)
    assert draw_mode_words(8, ids, micro_batch=3)[0] != words[3][0]


def test_uniform_times_are_the_first_draw():
    ids = torch.tensor([5, 900, 3, 2**40])
    assert torch.equal(draw_time("uniform", 7, ids), draw_uniforms(7, ids)[0])


def test_discrete_times_are_six_and_equally_frequent():
    time = draw_time("discrete", 0, torch.arange(12_000))
    assert DISCRETE_TIMES == (0.0625, 0.125, 0.25, 0.5, pytest.approx(0.70710678), pytest.approx(0.84089642))
    for value in DISCRETE_TIMES:
        assert (time == torch.tensor(value)).float().mean().item() == pytest.approx(1 / 6, abs=0.015)
    assert torch.equal(time[[40, 3]], draw_time("discrete", 0, torch.tensor([40, 3])))
    assert discrete_time(torch.arange(6), dtype=torch.float64).tolist() == list(DISCRETE_TIMES)


def test_a_fixed_time_still_has_the_floor():
    time = draw_time("fixed", 0, torch.arange(3), fixed_time=0.5)
    assert time.dtype == torch.float32 and time.tolist() == [0.5] * 3
    torch.testing.assert_close(diffusion_time(time), torch.full((3,), 0.5005))


@settings(max_examples=25, deadline=None)
@example(num_rows=1, seed=0)
@example(num_rows=256, seed=0)
@given(num_rows=st.integers(1, 300), seed=st.integers(0, 2**60))
def test_low_discrepancy_times_are_one_in_each_part(num_rows, seed):
    position = torch.arange(num_rows)
    time = draw_time("low_discrepancy", seed, position + 5, position=position, num_rows=num_rows).double()
    assert ((time >= 0) & (time < 1)).all()
    turned = (time[0] + position.double() / num_rows) % 1
    apart = (time - turned).abs()
    assert torch.minimum(apart, 1 - apart).max() <= 2.0**-23  # a circle
    ordered = time.sort().values
    gaps = torch.cat([ordered.diff(), ordered[:1] + 1 - ordered[-1:]])
    assert (gaps - 1 / num_rows).abs().max() <= 2.0**-23
    # The example, and the rows of other processes, make no difference.
    some = torch.randperm(num_rows)[:3]
    assert torch.equal(
        draw_time("low_discrepancy", seed, some * 0, position=some, num_rows=num_rows), time[some].float()
    )


def test_low_discrepancy_times_are_uniform_over_steps():
    position = torch.tensor([3])
    times = torch.cat(
        [draw_time("low_discrepancy", step, position, position=position, num_rows=8) for step in range(2000)]
    )
    assert times.mean().item() == pytest.approx(0.5, abs=0.03) and times.std().item() == pytest.approx(
        12**-0.5, abs=0.02
    )


def test_low_discrepancy_holds_at_the_largest_batch():
    num_rows = 2**31 - 1
    ends = torch.tensor([0, num_rows - 1])
    first, last = draw_time("low_discrepancy", 1, ends, position=ends, num_rows=num_rows).double()
    assert (first - last) % 1 <= 2.0**-23


def test_antithetic_times_come_in_pairs():
    position = torch.arange(20_000)
    time = draw_time("antithetic", 3, position * 0, position=position)
    assert ((time >= 0) & (time < 1)).all()
    even, odd = time.double()[0::2], time.double()[1::2]
    assert (even + odd == 1 - 2.0**-24).all()
    assert even.mean().item() == pytest.approx(0.5, abs=0.012) and len(even.unique()) > 9_900
    assert torch.equal(draw_time("antithetic", 3, position[:2], position=torch.tensor([41, 6])), time[[41, 6]])
    assert not torch.equal(draw_time("antithetic", 4, position, position=position), time)


def test_draws_of_a_place_are_not_those_of_an_example():
    """Stream 3 has a counter for each: the offset, the pairs and the shared modes do not repeat one another."""
    zero = torch.zeros(1, dtype=torch.int64)
    draws = [
        draw_time("uniform", 1, zero), draw_time("low_discrepancy", 1, zero, position=zero, num_rows=4),
        draw_time("antithetic", 1, zero, position=zero), draw_uniforms(1, zero)[1],
        draw_mode_words(1, zero) / 2**32, draw_mode_words(1, zero, micro_batch=0) / 2**32,
    ]  # fmt: skip
    assert len({round(draw.item(), 6) for draw in draws}) == len(draws)


@pytest.mark.parametrize(
    ("distribution", "names", "message"),
    [
        ("normal", {}, "must be one of uniform, discrete, fixed, low_discrepancy, antithetic, got 'normal'"),
        ("fixed", {}, "needs fixed_time between 0 and 1, got None"),
        ("fixed", {"fixed_time": 1.5}, "got 1.5"),
        ("antithetic", {}, "needs position"),
        ("low_discrepancy", {"num_rows": 4}, "needs position"),
        ("low_discrepancy", {"position": torch.arange(2)}, "needs num_rows between 1"),
        ("low_discrepancy", {"position": torch.arange(2), "num_rows": 2**31}, "needs num_rows between 1"),
    ],
)
def test_what_a_distribution_needs_is_asked_for(distribution, names, message):
    with pytest.raises(ValueError, match=message):
        draw_time(distribution, 0, torch.arange(2), **names)
    assert distribution in TIME_DISTRIBUTIONS or distribution == "normal"


def test_evaluation_times_of_a_stream_fill_the_interval_at_any_length():
    """Additive recurrence with the golden ratio, whose gaps have three lengths; here in whole numbers of Python."""
    golden = 0x9E3779B97F4A7C15  # 2^64 times its fraction
    ids = torch.tensor([0, 1, 2, 1000, 3_000_000_019, 2**62 + 5])
    place, num_places = evaluation_place(ids, None)
    assert place.tolist() == [(i * golden % 2**64) >> 40 for i in ids.tolist()] and num_places == 2**24
    for num_rows in (10, 100, 1000):
        times = evaluation_time(torch.arange(num_rows), None).sort().values
        assert times.diff().max() < 3 / num_rows and ((times > 0) & (times < 1)).all()
        assert abs(times.mean() - 0.5) < 1 / num_rows
    assert evaluation_place(torch.tensor([9, 3]), 4)[0].tolist() == [1, 3]


def test_evaluation_times_are_a_grid():
    ids = torch.tensor([0, 1, 2, 3, 9])  # 9 stands where 5 rows were dropped
    assert evaluation_time(ids, 4).tolist() == [0.125, 0.375, 0.625, 0.875, 0.375]
    torch.testing.assert_close(evaluation_time(ids[:4], 4, grid="linspace"), torch.linspace(0, 1, 4))
    assert evaluation_time(ids[:1], 1, grid="linspace").tolist() == [0.0]
    with pytest.raises(ValueError, match="grid must be one of midpoints, linspace, got 'log'"):
        evaluation_time(ids, 4, grid="log")


def test_time_has_a_floor():
    time = diffusion_time(torch.tensor([0.0, 0.5, 1.0]), epsilon=0.01)
    torch.testing.assert_close(time, torch.tensor([0.01, 0.505, 1.0]))


def test_overmask_rate_fills_its_interval():
    time = torch.tensor([0.2, 0.2, 0.95, 0.95])
    rate = overmask_rate(time, torch.tensor([0.0, 1.0, 0.0, 1.0]), min_rho=0.1)
    torch.testing.assert_close(rate, torch.tensor([0.1, 0.8, 0.0, 0.05]))


def test_overmask_rate_has_an_upper_bound():
    time = torch.tensor([0.2, 0.2, 0.95, 0.95])
    ends = torch.tensor([0.0, 1.0, 0.0, 1.0])
    torch.testing.assert_close(overmask_rate(time, ends, max_rho=0.3), torch.tensor([0.1, 0.3, 0.0, 0.05]))
    torch.testing.assert_close(overmask_rate(time, ends, max_rho=0.05), torch.tensor([0.0, 0.05, 0.0, 0.05]))


def test_expectations_of_the_published_process():
    """E[rho] = 0.295, E[t / (t + rho)] = 0.598, mean mask rate 0.796, as measured on the published collator."""
    uniform_time, uniform_rho = (u.double() for u in draw_uniforms(1, torch.arange(200_000)))
    time, rate = diffusion_time(uniform_time), overmask_rate(uniform_time, uniform_rho)
    assert rate.mean().item() == pytest.approx(0.295, abs=2e-3)
    assert (time / (time + rate)).mean().item() == pytest.approx(0.598, abs=2e-3)
    assert (time + rate).mean().item() == pytest.approx(0.796, abs=2e-3)
    assert (time + rate).max() <= 1.001


def test_a_range_of_times_takes_the_place_of_the_floor():
    u = torch.tensor([0.0, 0.5, 1.0])
    torch.testing.assert_close(diffusion_time(u, time_range=(0.3, 0.8)), torch.tensor([0.3, 0.55, 0.8]))
