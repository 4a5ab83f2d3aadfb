"""What LIFT would train of the masked tokens in a table: its own rule, on the table's masks and log-probabilities."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from lift.analysis.table import Columns, ratio_index
from lift.objectives import choose_order
from lift.objectives.modes import num_to_keep
from lift_kernels import select_tokens

_MIN_RHO = 0.1


class Selected(NamedTuple):
    """The masked tokens of one ratio, and which of them LIFT keeps at a time."""

    time: int
    """Index of t among the ratios."""

    at: NDArray[np.int64]
    """(N,) rows of the part."""

    is_kept: NDArray[np.bool_]
    """(N,)"""


def drawable(ratios: Sequence[float]) -> list[tuple[int, int]]:
    """Return the pairs (time, ratio) of indices for which LIFT can draw rho = ratio - time.

    It draws rho between 0.1 and 1 - t, or between 0 and 1 - t where that is not above 0.1.
    """
    return [
        (time, ratio)
        for time, t in enumerate(ratios)
        for ratio, rate in enumerate(ratios)
        if rate - t > (_MIN_RHO - 1e-6 if 1 - t > _MIN_RHO else 0)
    ]


def select(part: Columns, ratios: Sequence[float], *, method: str, seed: int) -> Iterator[Selected]:
    """Yield what LIFT keeps of a part's masked tokens, for each pair that is drawable: it keeps t of t + rho.

    Easy and hard rows are ranked by the gold log-probability, which is of the same masks; middle rows are drawn.
    """
    ratio_of = ratio_index(part, ratios)
    orders = choose_order(torch.tensor(ratios), method)
    for time, ratio in drawable(ratios):
        (at,) = np.nonzero(ratio_of == ratio)
        if not len(at):
            continue
        numbers, row = np.unique(part["example"][at], return_inverse=True)
        shape = (len(numbers), int(part["position"][at].max()) + 1)
        score, is_masked = torch.zeros(shape), torch.zeros(shape, dtype=torch.bool)
        places = torch.from_numpy(row), torch.from_numpy(part["position"][at]).long()
        score[places], is_masked[places] = torch.from_numpy(part["log_prob"][at]), True
        order = orders[time].expand(len(numbers))
        t = torch.full((len(numbers),), ratios[time])
        num_keep = num_to_keep(is_masked.sum(1), t, torch.full_like(t, ratios[ratio] - ratios[time]), order)
        is_kept = select_tokens(score, is_masked, num_keep, order, seed=seed, row_ids=torch.from_numpy(numbers))
        yield Selected(time, at, is_kept[places].numpy())
