"""What LIFT's one-forward objective needs beside hidden states, head and labels."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class OneForward(NamedTuple):
    """Arguments of `lift_cross_entropy` that travel with a batch, under the same names; B rows.

    A patched model takes it as `lift`. Given `parts`, they are of U parts of rows, such as blocks, of K tokens each.
    """

    timestep: Tensor  # (B,) floating, the diffusion time t in (0, 1]
    num_keep: Tensor  # (B,) int64 or int32
    order: Tensor  # (B,) int64 or int32: 1 easiest, -1 hardest, 0 any
    row_weight: Tensor | None = None  # (B,) floating
    learnability: str = "hard"  # or "soft"
    temperature: float = 1.0  # of "soft"
    time_scaling: bool = True  # the factor 1 / t
    seed: int | None = None
    row_ids: Tensor | None = None  # (B,) int64 or int32
    parts: Tensor | None = None  # (U, K) int64, where each token of a part lies in the flattened labels; -1 for none
