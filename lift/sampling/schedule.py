"""How many tokens each step of a block commits."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from lift.sampling.config import SamplingConfig


class Schedule(NamedTuple):
    """Numbers of tokens of one block."""

    quota: Callable[[int, Tensor], Tensor]
    """(step, masks left (B,)) -> (B,) int64."""

    num_steps: Tensor | None
    """(B,) int64; None where a row goes on until no mask is left."""


def build_schedule(config: SamplingConfig, num_masks: Tensor, block_length: int, num_steps: int) -> Schedule:
    """Return the schedule of a block whose rows have `num_masks` (B,) masks at its start."""
    if config.num_to_transfer is not None:
        number = torch.full_like(num_masks, config.num_to_transfer)
        return Schedule(lambda step, left: number, None)
    if config.schedule == "bernoulli" or (config.schedule == "dream" and config.batch_quota):
        quota = _all_left if config.schedule == "bernoulli" else _floored(config.eps, num_steps)
        return Schedule(quota, torch.full_like(num_masks, num_steps))
    counts = num_masks.tolist() if config.quota_of == "masks" else [block_length] * len(num_masks)
    shares = {count: shares_of(config, count, num_steps) for count in set(counts)}
    length = max(map(len, shares.values()), default=0)
    table = num_masks.new_tensor([shares[count] + [0] * (length - len(shares[count])) for count in counts])
    table = table.reshape(len(counts), length)
    if config.schedule == "carry":
        planned = table.cumsum(1)

        def carried(step: int, left: Tensor) -> Tensor:
            return planned[:, min(step, length - 1)] - (num_masks - left)

        return Schedule(carried, None)
    # Behind its last step a row that still has masks, having committed fewer than planned, goes on one by one.
    one = torch.ones_like(num_masks)
    steps_of_row = num_masks.new_tensor([len(shares[count]) for count in counts])
    return Schedule(lambda step, left: table[:, step] if step < length else one, steps_of_row)


def shares_of(config: SamplingConfig, count: int, num_steps: int) -> list[int]:
    """Share `count` tokens among the steps of a block; steps that get none are left out, but for `idle_steps`."""
    if config.schedule in ("even", "carry"):
        shares = even_shares(count, num_steps)
        if config.idle_steps or config.quota_of == "block":
            return shares
    elif config.schedule == "dream":
        shares = dream_shares(count, num_steps, config.eps)
    else:
        shares = diffusion_shares(count, num_steps, config.schedule)
    return [share for share in shares if share]


def even_shares(count: int, num_steps: int) -> list[int]:
    """Share alike, the remainder to the first steps (LLaDA, arXiv 2502.09992, section 2.4)."""
    share, remainder = divmod(count, num_steps)
    return [share + (step < remainder) for step in range(num_steps)]


def diffusion_shares(count: int, num_steps: int, schedule: str) -> list[int]:
    """Share by the masked share m(t) of a diffusion: of r tokens left, round(r (1 - m(s) / m(t))) go from t to s.

    Source: dllm, core/samplers/utils.py; ratios in float32 and halves to even, which decide how halves are rounded.
    """
    time = torch.tensor([(num_steps - step) / num_steps for step in range(num_steps + 1)])
    masked = 1 - (1 - time if schedule == "linear" else 1 - torch.cos(math.pi / 2 * (1 - time)))
    shares = []
    for ratio in (masked[1:] / masked[:-1]).tolist():
        shares.append(min(count, round(count * (1 - ratio))))
        count -= shares[-1]
    return shares


def dream_shares(count: int, num_steps: int, eps: float) -> list[int]:
    """Share so that about t_i of the tokens are left after step i, of times from 1 to `eps`; none after the last."""
    left = [round(count * (1 - (1 - eps) * step / num_steps)) for step in range(num_steps)] + [0]
    return [before - after for before, after in pairwise(left)]


def step_probability(eps: float, num_steps: int, step: int) -> float | Tensor:
    """The chance 1 - s / t that a masked token moves in a step of Dream's times, in float32; 1 in the last step."""
    time = torch.linspace(1, eps, num_steps + 1)
    return 1 - time[step + 1] / time[step] if step < num_steps - 1 else 1


def _all_left(step: int, left: Tensor) -> Tensor:
    return left


def _floored(eps: float, num_steps: int) -> Callable[[int, Tensor], Tensor]:
    def quota(step: int, left: Tensor) -> Tensor:
        mean = left.sum().cpu() / len(left)  # float32
        return torch.full_like(left, int(mean * step_probability(eps, num_steps, step)))

    return quota
