"""Which tokens a row learns from: the easiest, the hardest or any, and how many."""

from __future__ import annotations

import torch
from torch import Tensor

from lift.objectives.choices import MODE_SCOPES, ModeScope
from lift.objectives.methods import EASY, HARD, MIDDLE, modes_of

_MIN_KEPT_SHARE = 1e-3


def choose_order(timestep: Tensor, method: str, *, scope: ModeScope = "row") -> Tensor:
    """Return the mode of each row (B,) int64 from its time: EASY, MIDDLE or HARD.

    The mode with the largest weight wins, of 3 t (1 - t) (middle, lift3 only), t (easy) and 1 - t (hard), divided by
    their sum and compared in float32, the first in this order on a tie. Methods "easy", "middle" and "hard" are that
    mode at every t. With scope "batch" all rows take the mode of the mean t, as in the published code.
    """
    modes = modes_of(method)
    if scope not in MODE_SCOPES:
        raise ValueError(f"scope must be one of {', '.join(MODE_SCOPES)}, got {scope!r}.")
    t = timestep.double()
    if scope == "batch":
        t = t.mean().expand_as(t)
    weights = {MIDDLE: 3 * t * (1 - t), EASY: t, HARD: 1 - t}
    stacked = torch.stack([weights[mode] for mode in modes])  # (modes, B)
    return _mode_at((stacked / stacked.sum(0)).float().argmax(0), modes)


def draw_order(words: Tensor, method: str) -> Tensor:
    """Return a uniformly drawn mode for each row (B,) int64 from its random word in [0, 2^32)."""
    modes = modes_of(method)
    return _mode_at((words * len(modes)) >> 32, modes)


def _mode_at(index: Tensor, modes: tuple[int, ...]) -> Tensor:
    """modes[index], without copying `modes` to the device, which would wait for it."""
    return sum((mode * (index == i) for i, mode in enumerate(modes)), start=torch.zeros_like(index))


def num_to_keep(
    num_masked: Tensor, timestep: Tensor, rho: Tensor, order: Tensor, *, min_keep: int | None = None,
    uniform: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Return how many of its masked tokens each row keeps (B,) int64: the share t / (t + rho), half to even.

    Every row keeps at least `min_keep` of its masked tokens, or all where it has fewer. None stands for the published
    code's: 1 where the mode is MIDDLE, 0 in the other modes.

    Given `uniform` (B,) in [0, 1), it rounds up where that is below the fraction instead, so that the mean over draws
    is exact, and None stands for 0 in every mode. To the nearest, rows of few tokens lose weight: the fewer are kept,
    the larger is 1/t.
    """
    share = (timestep / (timestep + rho).clamp(min=_MIN_KEPT_SHARE)).clamp(_MIN_KEPT_SHARE, 1)
    exact = num_masked.to(share.dtype) * share
    if uniform is None:
        num_keep = torch.round(exact).long()
        least = (order == MIDDLE).long()
    else:
        num_keep = exact.long() + (uniform < exact.frac())
        least = torch.zeros_like(num_masked)
    if min_keep is not None:
        least = torch.full_like(num_masked, min_keep)
    return torch.maximum(num_keep, least).minimum(num_masked)
