"""The bound on the log-likelihood of L tokens: which of them are masked in each forward, and what the forwards say.

With c(S) the sum over i in S of log p(x_i | x outside S), for a masked set S,

    bound = sum over l = 1..L of the mean over |S| = l of c(S) / l = E[(L / l) c(S)]   (at most log p)

for l uniform on 1..L and S uniform among the sets of that size: the expected log-likelihood over random orders.
"""

from __future__ import annotations

import math
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lift.errors import LiftError
from lift.evaluation.log_likelihood import LogLikelihood
from lift.evaluation.published_likelihood import published_masks

Estimator = Literal["antithetic", "published"]


class MaskPlan(Protocol):
    """The sets of one continuation, and how their log-probabilities become an estimate."""

    is_masked: Tensor
    """(n, L) bool, one set a forward."""

    def estimate(self, log_prob: Tensor) -> LogLikelihood:
        """Return the estimate from log_prob (n, L) float32 of the masked tokens."""


class WeightedSets:
    """Sets with weights: each replicate's estimate is its sum of weight times c(S).

    Args:
        is_masked: (n, L) bool, the replicates behind each other, each with n / R sets.
        weight: (n,) float64.
        num_replicates: R.
    """

    def __init__(self, is_masked: NDArray[np.bool_], weight: NDArray[np.float64], num_replicates: int) -> None:
        self.is_masked = torch.from_numpy(is_masked)
        self._weight, self._num_replicates = torch.from_numpy(weight), num_replicates

    def estimate(self, log_prob: Tensor) -> LogLikelihood:
        terms = (log_prob.double() * self.is_masked).sum(1) * self._weight
        values = terms.view(self._num_replicates, -1).sum(1)
        count = self._num_replicates
        error = 0.0 if count == 1 else float(values.std(correction=1)) / math.sqrt(count)
        return LogLikelihood(float(values.mean()), error, count, len(self.is_masked))


def plan_masks(
    num_tokens: int,
    *,
    seed: int,
    num_forwards: int = 128,
    num_replicates: int = 8,
    estimator: Estimator = "antithetic",
    published_batch_size: int = 8,
) -> MaskPlan:
    """Choose the sets to mask for a continuation of L tokens.

    "antithetic" is unbiased: sizes at equal distances from one random start, in pairs l and L + 1 - l from the two ends
    of one order; each replicate has a start and orders of its own, so that their spread gives a standard error. Where
    2^L - 1 forwards are no more than `num_forwards`, all sets are summed, which is exact.

    Args:
        num_tokens: L, at least 1.
        seed: of the draws.
        num_forwards: n; rounded down to an even number for each replicate.
        num_replicates: at least 2.
        estimator: "published" is that of LLaDA, which is biased (see `published_masks`).
        published_batch_size: its batch, which its sizes depend on; of the forwards it says nothing.
    Raises: LiftError if there are no tokens, or too few forwards for an estimate.
    """
    if num_tokens < 1:
        raise LiftError("a likelihood needs a continuation of at least one token, got none.")
    if estimator == "published":
        generator = torch.Generator().manual_seed(seed % 2**63)
        num_forwards = 1 if num_tokens == 1 else num_forwards  # as its tasks of one-token answers do
        return published_masks(num_tokens, num_forwards, published_batch_size, generator)
    if num_tokens < 30 and 2**num_tokens - 1 <= num_forwards:
        return _all_sets(num_tokens)
    if num_replicates < 2 or num_forwards < 2 * num_replicates:
        raise LiftError(
            "a standard error needs at least 2 replicates of 2 forwards each, got "
            f"num_forwards={num_forwards} and num_replicates={num_replicates}."
        )
    rng = np.random.default_rng(seed)
    pairs = num_forwards // num_replicates // 2
    rows = [_antithetic_sets(num_tokens, pairs, rng) for _ in range(num_replicates)]
    is_masked = np.concatenate(rows)
    return WeightedSets(is_masked, num_tokens / is_masked.sum(1) / (2 * pairs), num_replicates)


def _all_sets(num_tokens: int) -> WeightedSets:
    sets = np.arange(1, 2**num_tokens)[:, None] >> np.arange(num_tokens) & 1
    size = sets.sum(1)
    num_alike = np.array([math.comb(num_tokens, int(count)) for count in size])
    return WeightedSets(sets.astype(bool), 1 / (size * num_alike), 1)


def _antithetic_sets(num_tokens: int, pairs: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return sets (2 * pairs, L) bool of one replicate; each size has probability 1 / L, without rounding."""
    start = rng.random()
    is_masked = np.zeros((2 * pairs, num_tokens), dtype=bool)
    for pair in range(pairs):
        size = min(int((start + pair) / pairs % 1.0 * num_tokens) + 1, num_tokens)
        order = rng.permutation(num_tokens)
        is_masked[2 * pair, order[:size]] = True
        is_masked[2 * pair + 1, order[size - 1 :]] = True  # L + 1 - size of them: the two meet in one token
    return is_masked
