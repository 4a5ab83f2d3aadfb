"""Clean rows of unequal length with what was drawn for them, for the `build` of each method."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lift.objectives import (
    METHODS,
    MIDDLE,
    Draws,
    LiftOptions,
    MicroBatch,
    ScoreFunction,
    choose_order,
    diffusion_time,
    overmask_rate,
)
from lift.objectives.time_density import TimeDensity
from lift.objectives.time_density_file import read_time_density

MASK, PAD = 9, 0
DENSITY = str(Path(__file__).with_name("time_density.json"))
NUM_ROWS, LENGTH, PROMPT = 24, 20, 4


def scores_of_ranked_rows(corrupted_ids: Tensor, _labels: Tensor, order: Tensor) -> Tensor:
    """Log-probabilities, all different, of the rows that rank; 0 in the others, as a scoring forward leaves them."""
    log_prob = -torch.rand(corrupted_ids.shape, generator=torch.Generator().manual_seed(5)) - 0.1
    return log_prob.where((order != MIDDLE)[:, None], 0)


def entropy_by_position(corrupted_ids: Tensor, _labels: Tensor) -> Tensor:
    return torch.linspace(0.1, 2, corrupted_ids.shape[1]).expand(corrupted_ids.shape)


def clean_rows(
    method: str, *, pad_in_loss: bool = True, score: ScoreFunction = scores_of_ranked_rows,
    entropy: Any = entropy_by_position, times: Tensor | None = None, **options: Any,
) -> MicroBatch:  # fmt: skip
    """Rows of 6 to 20 tokens, padded to 20, at times spread over [0, 1], with every option else at its default.

    Example ids are not row numbers, pads are `PAD` and no other token is. Of a method that draws times by a density it
    is that of `DENSITY`, as with that for `time_density`.
    """
    generator = torch.Generator().manual_seed(0)
    if METHODS[method].needs_density:
        options.setdefault("time_density", DENSITY)
    chosen = LiftOptions(method=method, pad_in_loss=pad_in_loss, **options)
    chosen.resolve_options()
    clean = torch.randint(1, MASK, (NUM_ROWS, LENGTH), generator=generator)
    is_real = torch.arange(LENGTH) < torch.randint(6, LENGTH + 1, (NUM_ROWS, 1), generator=generator)
    lengths = tuple(is_real.sum(1).tolist())
    clean = clean.where(is_real, PAD)
    is_response = (torch.arange(LENGTH) >= PROMPT).expand(clean.shape)
    u, importance = torch.linspace(0, 0.99, NUM_ROWS) if times is None else times, None
    if chosen.time_density is not None:
        u, importance = TimeDensity(*read_time_density(chosen.time_density)[:2]).draw(u)
    timestep = diffusion_time(u)
    draws = Draws(u, timestep, importance=importance)
    if METHODS[method].selects_tokens:
        rho = overmask_rate(u, torch.rand(NUM_ROWS, generator=generator))
        draws = Draws(u, timestep, rho, choose_order(timestep, method), importance)
    return MicroBatch(
        clean, is_response if pad_in_loss else is_response & is_real, torch.arange(NUM_ROWS) * 7 + 3,
        None if pad_in_loss else is_real.long(), draws, 11, chosen, MASK, PAD, score, entropy, lengths,
    )  # fmt: skip
