"""The bound on the log-likelihood of a model that writes block by block: the sum of its blocks' bounds.

    log p(x) = sum over blocks k of log p(x_k | the blocks before),   each at least its own bound

With noisy and clean tokens side by side no block's prediction depends on what is masked in another, so that one forward
serves a set of every block. Source: Arriola et al., "Block diffusion" (arXiv 2503.09573), section 3.1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from lift.evaluation.likelihood import MaskPlan
from lift.evaluation.log_likelihood import LogLikelihood


class BlockSets:
    """The sets of each block, side by side; a block with fewer sets than others has forwards without a mask.

    Args:
        plans: of the blocks, in order; at least one.
    """

    def __init__(self, plans: Sequence[MaskPlan]) -> None:
        self._plans = plans
        most = max(len(plan.is_masked) for plan in plans)
        self.is_masked = torch.cat([pad(p.is_masked, (0, 0, 0, most - len(p.is_masked))) for p in plans], 1)

    def estimate(self, log_prob: Tensor) -> LogLikelihood:
        """Return the sum of the blocks' estimates, whose errors are independent, from log_prob (n, L) float32."""
        parts = log_prob.split([plan.is_masked.shape[1] for plan in self._plans], 1)
        found = [plan.estimate(part[: len(plan.is_masked)]) for plan, part in zip(self._plans, parts, strict=True)]
        errors = [one.standard_error for one in found]
        known = [error for error in errors if error is not None]
        return LogLikelihood(
            sum(one.value for one in found), math.hypot(*known) if len(known) == len(errors) else None,
            max(one.num_replicates for one in found), len(log_prob),
        )  # fmt: skip


def plan_blocks(
    num_context: int, num_tokens: int, block_size: int, plan_block: Callable[[int, int], MaskPlan]
) -> BlockSets:
    """Choose the sets to mask for a continuation of `num_tokens` tokens, at least one, behind a context.

    Args:
        num_context: tokens of the context; blocks are counted from its first.
        num_tokens: of the continuation.
        block_size: of the model.
        plan_block: (number, tokens) -> the sets of that block's tokens.
    """
    end = num_context + num_tokens
    starts = range(num_context // block_size * block_size, end, block_size)
    lengths = [min(start + block_size, end) - max(start, num_context) for start in starts]
    return BlockSets([plan_block(number, length) for number, length in enumerate(lengths)])
