"""Which tokens a row learns from: the easiest, the hardest or any, and how many."""

from __future__ import annotations

import torch
from torch import Tensor

METHODS = ("sft", "lift2", "lift3", "gift", "cart", "easy", "middle", "hard")
MODE_POLICIES = ("time", "random")
MODE_SCOPES = ("row", "batch")
EASY, MIDDLE, HARD = 1, 0, -1  # `order` of lift_kernels.select_tokens
MODES = {"easy": EASY, "middle": MIDDLE, "hard": HARD}
_MIN_KEPT_SHARE = 1e-3
# Of the methods that select tokens, in the published order, which decides ties.
MODES_OF_METHOD = {"lift2": (EASY, HARD), "lift3": (MIDDLE, EASY, HARD)} | {name: (MODES[name],) for name in MODES}


def modes_of(method: str) -> tuple[int, ...]:
    """Return the modes that `method` (lift2, lift3, or one mode by name) chooses from, first the one that wins ties."""
    if method not in MODES_OF_METHOD:
        raise ValueError(f"method must be one of {', '.join(MODES_OF_METHOD)}, got {method!r}.")
    return MODES_OF_METHOD[method]


def choose_order(timestep: Tensor, method: str, *, scope: str = "row") -> Tensor:
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
    num_masked: Tensor, timestep: Tensor, rho: Tensor, order: Tensor, *, min_keep: int | None = None
) -> Tensor:
    """Return how many of its masked tokens each row keeps (B,) int64: the share t / (t + rho), half to even.

    Every row keeps at least `min_keep` of its masked tokens, or all where it has fewer. None stands for the published
    code's: 1 where the mode is MIDDLE, 0 in the other modes.
    """
    share = (timestep / (timestep + rho).clamp(min=_MIN_KEPT_SHARE)).clamp(_MIN_KEPT_SHARE, 1)
    num_keep = torch.round(num_masked.to(share.dtype) * share).long()
    least = (order == MIDDLE).long() if min_keep is None else torch.full_like(num_masked, min_keep)
    return torch.maximum(num_keep, least).minimum(num_masked)
