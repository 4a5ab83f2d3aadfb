"""When and how much to mask: the diffusion time t and the over-mask rate rho of each row.

Every draw is a pure function of (seed, optimiser step, example): the same whatever the batch, the number of
processes or data-loader workers, and after a resume.
"""

from __future__ import annotations

from torch import Tensor

from lift_kernels.philox import random_words, uniforms

_TIME_STREAM = 2  # counter word c3; lift_kernels uses 0 and 1 for masks and random subsets
_GOLDEN_RATIO = 0x9E3779B97F4A7C15
_MASK_64 = (1 << 64) - 1


def step_seed(seed: int, step: int) -> int:
    """Return a seed in [0, 2^63) for optimiser step `step`, by SplitMix64 (Steele et al., OOPSLA 2014)."""
    z = (seed + (step + 1) * _GOLDEN_RATIO) & _MASK_64
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK_64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK_64
    return (z ^ (z >> 31)) >> 1


def draw_uniforms(seed: int, example_id: Tensor) -> tuple[Tensor, Tensor]:
    """Return two independent float32 draws in [0, 1) for each row of example_id (B,): one for t, one for rho."""
    draws = uniforms(random_words(seed, example_id, 2, _TIME_STREAM))  # (B, 2)
    return draws[:, 0], draws[:, 1]


def draw_mode_words(seed: int, example_id: Tensor) -> Tensor:
    """Return one random word in [0, 2^32) for each row of example_id (B,): the draw behind a random mode."""
    return random_words(seed, example_id, 3, _TIME_STREAM)[:, 2]


def diffusion_time(uniform: Tensor, *, epsilon: float = 1e-3) -> Tensor:
    """Return t = (1 - epsilon) u + epsilon (B,), in [epsilon, 1]: the share of the response that is to be learned.

    Source: LLaDA (arXiv 2502.09992), algorithm 1, with its floor.
    """
    return (1 - epsilon) * uniform + epsilon


def overmask_rate(uniform_time: Tensor, uniform_rho: Tensor, *, min_rho: float = 0.1) -> Tensor:
    """Return LIFT's extra mask rate rho (B,), uniform between min_rho and 1 - u.

    The lower end is 0 for rows with 1 - u <= min_rho. It takes the time u before its floor, as the published code does.

    Source: LIFT (arXiv 2605.22939) and its published collator.
    """
    highest = 1 - uniform_time
    lowest = min_rho * (highest > min_rho).to(highest.dtype)
    return lowest + (highest - lowest) * uniform_rho
