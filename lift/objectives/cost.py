"""What a step of a method costs, in steps of plain SFT on the same rows: counted in forwards, not timed."""

from __future__ import annotations

import torch
from torch import Tensor

from lift.objectives.forward_process import DISCRETE_TIMES, diffusion_time, draw_time
from lift.objectives.methods import METHODS, MIDDLE
from lift.objectives.modes import choose_order
from lift.objectives.options import LiftOptions
from lift.objectives.time_density import TimeDensity
from lift.objectives.time_density_file import read_time_density

_NUM_TIMES = 3000
_NUM_BATCHES = 2000  # of one mode each


def relative_cost(options: LiftOptions, *, forward_share: float = 1 / 3, rows_per_mode: int = 1) -> float:
    """Return the cost of a step in steps of plain SFT: 1 of what it trains on, and that of scoring before it.

    A forward that scores is a third of a step, as a backward pass is about two forwards; it is made for the rows that
    are ranked: all of lift2, easy, hard, margin and gift, two of three of lift3. One-forward LIFT, a cache and
    frequencies score without one. A second view of each row is another step. What the head does for more masked tokens,
    and the ranking itself, are left out.

    Args:
        options: resolved.
        forward_share: of a forward without gradient in a step: 1/3; 1/4 where gradient checkpointing repeats a forward,
            1/2 where an adapter alone is trained, as the backward pass then forms no gradients of the weights.
        rows_per_mode: rows of a micro-batch, which have one mode with mode_scope=batch.
    """
    views = 2 if options.complementary else METHODS[options.method].num_views
    return views + forward_share * _scored_share(options, rows_per_mode)


def _scored_share(options: LiftOptions, rows_per_mode: int) -> float:
    method = METHODS[options.method]
    if not method.selects_tokens:
        return float(method.asks_entropy)
    if options.one_forward or options.score_source != "model":
        return 0.0
    ranked = [mode for mode in method.modes if mode != MIDDLE]
    if not ranked or len(ranked) == len(method.modes) or options.attention == "block":  # of a row some block is ranked
        return float(bool(ranked))
    if options.mode_policy == "random":
        return len(ranked) / len(method.modes)
    if options.mode_scope == "row":
        orders = choose_order(_times(options), options.method)
    else:
        means = _batches_of_times(options, rows_per_mode).double().mean(1)
        orders = choose_order(means, options.method)
    return float((orders != MIDDLE).double().mean())


def _times(options: LiftOptions) -> Tensor:
    """Return times that stand for all that are drawn, evenly."""
    if options.timestep_distribution == "discrete":
        u = torch.tensor(DISCRETE_TIMES)
    elif options.timestep_distribution == "fixed":
        u = torch.tensor([options.fixed_timestep])
    else:
        u = (torch.arange(_NUM_TIMES) + 0.5) / _NUM_TIMES
    return _as_drawn(u, options)


def _batches_of_times(options: LiftOptions, num_rows: int) -> Tensor:
    """Return drawn times (batches, rows)."""
    spread = options.timestep_distribution in ("low_discrepancy", "antithetic")
    u = draw_time(
        "uniform" if spread else options.timestep_distribution, 0, torch.arange(_NUM_BATCHES * num_rows),
        fixed_time=options.fixed_timestep,
    )  # fmt: skip
    return _as_drawn(u, options).view(_NUM_BATCHES, num_rows)


def _as_drawn(u: Tensor, options: LiftOptions) -> Tensor:
    if options.time_density is not None:
        u = TimeDensity(*read_time_density(options.time_density)[:2]).draw(u)[0]
    return diffusion_time(u, epsilon=options.time_epsilon, time_range=options.time_range)
