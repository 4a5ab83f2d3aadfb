"""The published likelihood estimator of LLaDA, to the bit: its sizes, its sets, and its sums."""

from __future__ import annotations

import torch
from torch import Tensor

from lift.errors import LiftError
from lift.evaluation.log_likelihood import LogLikelihood


class PublishedMasks:
    """Batches of sets, and the mean that the published code takes of them.

    Args:
        is_masked: (n, L) bool.
        ratio: (n,) float32, the share of masked tokens.
        batch_size: b, which divides n.
    """

    def __init__(self, is_masked: Tensor, ratio: Tensor, batch_size: int) -> None:
        self.is_masked = is_masked
        self._ratio, self._batch_size = ratio, batch_size

    def estimate(self, log_prob: Tensor) -> LogLikelihood:
        """Return the estimate from log_prob (n, L) float32, rounded where the published code rounds."""
        ratio = self._ratio[:, None].expand_as(log_prob)
        losses = []
        for rows in torch.arange(len(log_prob)).split(self._batch_size):
            is_masked = self.is_masked[rows]
            loss = -log_prob[rows][is_masked] / ratio[rows][is_masked]
            losses.append((loss.sum() / self._batch_size).item())
        return LogLikelihood(-sum(losses) / len(losses), None, 1, len(log_prob))


def published_masks(num_tokens: int, num_forwards: int, batch_size: int, generator: torch.Generator) -> PublishedMasks:
    """Draw sets as LLaDA's `_forward_process` does (github.com/ML-GSAI/LLaDA, b7e6c35; dllm's is the same).

    In a batch the sizes stand at equal distances from one uniform start, and are rounded half to even. Where b has more
    factors of two than L, some rows so never draw odd sizes: with b = 8 that is a bias of 0.1 to 0.6 nats for
    continuations of 2 to 50 tokens, whose sign depends on the parity of L.

    Args:
        num_tokens: L.
        num_forwards: n; one batch of them where it is below `batch_size`.
        batch_size: b.
        generator: draws in the published order: one start a batch, then one order a row.
    Raises: LiftError if batches do not divide the forwards, which the published code asserts.
    """
    size = min(batch_size, num_forwards)
    if size < 1 or num_forwards % size:
        raise LiftError(
            f"the published estimator takes its forwards in whole batches: num_forwards must be a multiple of "
            f"{max(batch_size, 1)}, got {num_forwards}."
        )
    masks, ratios = [], []
    for _ in range(num_forwards // size):
        start = torch.randint(1, num_tokens + 1, (), generator=generator)
        end = start + (size - 1) * (num_tokens / size)
        sizes = torch.round(torch.linspace(float(start), float(end), steps=size)).long()
        sizes = (sizes - 1) % num_tokens + 1
        is_masked = torch.arange(num_tokens).repeat(size, 1) < sizes[:, None]
        for row in range(size):
            is_masked[row] = is_masked[row][torch.randperm(num_tokens, generator=generator)]
        masks.append(is_masked)
        ratios.append(sizes / num_tokens)
    return PublishedMasks(torch.cat(masks), torch.cat(ratios), size)
