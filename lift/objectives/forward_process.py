"""When and how much to mask: the diffusion time t and the over-mask rate rho of each row.

Every draw is a pure function of (seed, optimiser step, example), or of the place in the step's global batch where the
distribution of times says so: the same whatever the micro-batch, the number of processes or data-loader workers, and
after a resume.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lift.objectives.choices import EVALUATION_GRIDS, TIME_DISTRIBUTIONS, EvaluationGrid, TimeDistribution
from lift_kernels.philox import random_words, uniforms

DISCRETE_TIMES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 2**-0.5, 2**-0.25)

# Counter word c3; lift_kernels uses 0 and 1 for masks and random subsets. Stream 2 names rows by their example, stream
# 3 by a place in the batch, stream 4 by a visit to a pool; stream 5 is `uniform_noise`'s.
_TIME_STREAM, _PLACE_STREAM, _PHASE_STREAM = 2, 3, 4
_GOLDEN_RATIO = 0x9E3779B97F4A7C15
_MASK_64 = (1 << 64) - 1
_MASK_32 = (1 << 32) - 1
_PLACES_OF_A_STREAM = 1 << 24


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


def draw_mode_words(seed: int, example_id: Tensor, *, micro_batch: int | None = None) -> Tensor:
    """Return one random word in [0, 2^32) for each row of example_id (B,): the draw behind a random mode.

    Given its number in the step, all rows of a micro-batch get one word, a function of (seed, micro_batch) alone.
    """
    if micro_batch is None:
        return random_words(seed, example_id, 3, _TIME_STREAM)[:, 2]
    row = torch.full_like(example_id[:1], micro_batch)
    return random_words(seed, row, 3, _PLACE_STREAM)[:, 2].expand(example_id.shape)


def draw_strata_words(seed: int, block_id: Tensor) -> Tensor:
    """Return one random word in [0, 2^32) for each of block_id (U,): the order of a row's blocks in time."""
    return random_words(seed, block_id, 4, _TIME_STREAM)[:, 3]


def draw_block_words(seed: int, example_id: Tensor) -> Tensor:
    """Return one random word in [0, 2^32) for each row of example_id (B,): the block that it trains."""
    return random_words(seed, example_id, 6, _TIME_STREAM)[:, 5]


def draw_phase_words(seed: int, visit: Tensor, num_phases: int) -> Tensor:
    """Return one random word (B, K) in [0, 2^32) for each phase of a row's visit (B,) to a pool."""
    return random_words(seed, visit, num_phases, _PHASE_STREAM)


def draw_keep_uniforms(seed: int, example_id: Tensor) -> Tensor:
    """Return a float32 draw in [0, 1) for each row of example_id (B,): the one that rounds how many tokens it keeps."""
    return uniforms(random_words(seed, example_id, 5, _TIME_STREAM)[:, 4])


def draw_time(
    distribution: TimeDistribution,
    seed: int,
    example_id: Tensor,
    *,
    fixed_time: float | None = None,
    position: Tensor | None = None,
    num_rows: int | None = None,
) -> Tensor:
    """Return the time u (B,) float32 of each row, before its floor.

        uniform          in [0, 1), by the example: the first draw of `draw_uniforms`
        discrete         one of 1/16, 1/8, 1/4, 1/2, 2^-1/2, 2^-1/4, by the example
        fixed            `fixed_time` for every row
        low_discrepancy  frac(u_0 + position / num_rows), with one draw u_0 for the step: one time in each of `num_rows`
                         equal parts of the unit circle, so that the mean over the step varies little
        antithetic       rows of positions 2k and 2k + 1 get u and 1 - 2^-24 - u, which sum to 1 but for rounding

    Each time alone is uniform on the multiples of 2^-24 in [0, 1) in all but "discrete" and "fixed".

    Args:
        distribution: one of `TIME_DISTRIBUTIONS`.
        seed: the step's, the same on all processes.
        example_id: (B,) int64.
        fixed_time: in [0, 1]; of "fixed".
        position: (B,) int64, the row's place in the global batch of the step: all micro-batches of all processes; of
            "low_discrepancy" and "antithetic". Neighbours in position are neighbours in time, so deal them out evenly
            if the mean over a micro-batch matters.
        num_rows: rows of the global batch, below 2^31; of "low_discrepancy".

    Raises:
        ValueError: an unknown distribution, or an argument it needs is missing or outside its range.

    Source: "discrete" and "fixed", the published collator of LIFT (arXiv 2605.22939); "low_discrepancy", Kingma et al.,
    "Variational diffusion models" (arXiv 2107.00630), appendix I.1.
    """
    if distribution not in TIME_DISTRIBUTIONS:
        raise ValueError(f"the distribution must be one of {', '.join(TIME_DISTRIBUTIONS)}, got {distribution!r}.")
    if distribution == "fixed":
        if fixed_time is None or not 0 <= fixed_time <= 1:
            raise ValueError(f"distribution 'fixed' needs fixed_time between 0 and 1, got {fixed_time}.")
        return torch.full_like(example_id, fixed_time, dtype=torch.float32)
    if distribution in ("uniform", "discrete"):
        words = random_words(seed, example_id, 1, _TIME_STREAM)[:, 0]
        return uniforms(words) if distribution == "uniform" else discrete_time((words * len(DISCRETE_TIMES)) >> 32)
    if position is None:
        raise ValueError(f"distribution {distribution!r} needs position, the places (B,) of the rows in the step.")
    if distribution == "antithetic":
        words = random_words(seed, position // 2, 1, _PLACE_STREAM)[:, 0]
        return uniforms(words ^ (position % 2 * _MASK_32))
    if num_rows is None or not 0 < num_rows < 1 << 31:
        raise ValueError(f"distribution 'low_discrepancy' needs num_rows between 1 and 2^31 - 1, got {num_rows}.")
    offset = random_words(seed, torch.zeros_like(position[:1]), 2, _PLACE_STREAM)[:, 1]
    # In integers: a sum of float32 numbers just below 1 would round to 1.
    return uniforms((offset + (position % num_rows << 32) // num_rows) & _MASK_32)


def discrete_time(index: Tensor, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return the entries (B,) of `DISCRETE_TIMES` at index (B,) int64 in 0..5."""
    # A sum with one term that is not 0, as a table would have to be copied to the device, which waits for it.
    terms = ((index == i).to(dtype) * time for i, time in enumerate(DISCRETE_TIMES))
    return sum(terms, start=torch.zeros_like(index, dtype=dtype))


def evaluation_place(example_id: Tensor, num_examples: int | None) -> tuple[Tensor, int]:
    """Return the place (B,) int64 of each example of an evaluation, a function of its number, and how many there are.

    It is example_id modulo `num_examples`, as numbers may have gaps where long rows were dropped. Of a stream, whose
    length nobody knows (None), it is the first 24 bits of the fraction of example_id times the golden ratio: numbers in
    a row are then spread evenly, however many there are.
    """
    if num_examples is not None:
        return example_id % num_examples, num_examples
    fraction = example_id * (_GOLDEN_RATIO - (1 << 64))  # in 64 bits, where it wraps around
    return fraction >> 40 & (_PLACES_OF_A_STREAM - 1), _PLACES_OF_A_STREAM


def evaluation_time(example_id: Tensor, num_examples: int | None, *, grid: EvaluationGrid = "midpoints") -> Tensor:
    """Return the time u (B,) float32 of each example of an evaluation over `num_examples`, before its floor.

    At place i of n, see `evaluation_place`: (i + 1/2) / n for "midpoints", i / (n - 1) for "linspace", the published
    code's, whose first time is the floor.
    """
    if grid not in EVALUATION_GRIDS:
        raise ValueError(f"the grid must be one of {', '.join(EVALUATION_GRIDS)}, got {grid!r}.")
    place, num_places = evaluation_place(example_id, num_examples)
    return (place + 0.5) / num_places if grid == "midpoints" else place / max(num_places - 1, 1)


def diffusion_time(uniform: Tensor, *, epsilon: float = 1e-3, time_range: Sequence[float] | None = None) -> Tensor:
    """Return t = (1 - epsilon) u + epsilon (B,), in [epsilon, 1]: the share of the response that is to be learned.

    With `time_range`, (lowest, highest), it is (highest - lowest) u + lowest instead.

    Source: LLaDA (arXiv 2502.09992), algorithm 1, with its floor; the range, LLaDA 2.0's fine-tuning (dFactory).
    """
    lowest, highest = (epsilon, 1) if time_range is None else time_range
    return (highest - lowest) * uniform + lowest


def overmask_rate(uniform_time: Tensor, uniform_rho: Tensor, *, min_rho: float = 0.1, max_rho: float = 1.0) -> Tensor:
    """Return LIFT's extra mask rate rho (B,), uniform between min_rho and the lesser of 1 - u and max_rho.

    The lower end is 0 for rows whose upper end is not above min_rho. It takes the time u before its floor, as the
    published code does; max_rho = 1 is that code's.

    Source: LIFT (arXiv 2605.22939) and its published collator.
    """
    highest = (1 - uniform_time).clamp(max=max_rho)
    lowest = min_rho * (highest > min_rho).to(highest.dtype)
    return lowest + (highest - lowest) * uniform_rho
