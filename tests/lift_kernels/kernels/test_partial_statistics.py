from __future__ import annotations

import itertools

import pytest
import torch

from lift_kernels.kernels.arithmetic import LOWEST
from lift_kernels.kernels.partial_statistics import PartialStatistics


def parts_of(logits: torch.Tensor, targets: torch.Tensor, bounds: list[int], references: torch.Tensor):
    """The definition, in float64: statistics of the columns between `bounds` relative to `references` (N, S)."""
    parts = PartialStatistics.empty(len(logits), len(bounds) - 1, logits.device)
    for s, (start, stop) in enumerate(itertools.pairwise(bounds)):
        z, shift = logits[:, start:stop].double(), references[:, s : s + 1].double()
        exponentials = (z - shift).exp()
        parts.values[0, :, s] = references[:, s]
        parts.values[1, :, s] = exponentials.sum(-1)
        parts.values[2, :, s] = torch.xlogy(exponentials, exponentials).sum(-1)
        parts.values[3, :, s] = z.amax(-1)
        is_here = (targets >= start) & (targets < stop)
        target_logit = z.gather(-1, (targets - start).clamp(0, stop - start - 1)[:, None])[:, 0]
        parts.values[4, :, s] = target_logit.where(is_here, -torch.inf)
        parts.argmax[:, s] = z.argmax(-1) + start
    return parts


@pytest.mark.parametrize("bounds", [[0, 50], [0, 1, 2, 50], [0, 7, 14, 21, 28, 35, 42, 49, 50]], ids=str)
@pytest.mark.parametrize("level", [0.0, -200.0, 80.0])
def test_merged_parts_are_the_whole(bounds, level, kernel_device):
    logits = torch.randn(5, 50, device=kernel_device) * 4 + level
    targets = torch.tensor([0, 6, 7, 30, 49], device=kernel_device)
    references = level + 6 * torch.randn(5, len(bounds) - 1, device=kernel_device)
    log_prob, lse, entropy, max_log_prob, argmax = parts_of(logits, targets, bounds, references).merge()
    log_probs = logits.double().log_softmax(-1)
    close = {"rtol": 1e-6, "atol": 1e-5}
    torch.testing.assert_close(log_prob.double(), log_probs.gather(-1, targets[:, None])[:, 0], **close)
    torch.testing.assert_close(lse.double(), logits.double().logsumexp(-1), **close)
    torch.testing.assert_close(entropy.double(), -(log_probs.exp() * log_probs).sum(-1), **close)
    torch.testing.assert_close(max_log_prob.double(), log_probs.amax(-1), **close)
    assert torch.equal(argmax, logits.argmax(-1))


def test_a_part_without_a_finite_logit_takes_no_part(kernel_device):
    parts = PartialStatistics.empty(1, 3, kernel_device)
    parts.values[:, 0] = torch.tensor(
        [
            [LOWEST.value, 2.0, LOWEST.value],
            [0.0, 3.0, 0.0],
            [0.0, -1.0, 0.0],
            [-torch.inf, 2.0, -torch.inf],
            [-torch.inf, 1.0, -torch.inf],
        ]
    )
    parts.argmax[0] = torch.tensor([0, 17, 32])
    log_prob, lse, entropy, max_log_prob, argmax = parts.merge()
    log_sum = torch.tensor(3.0).log()
    for value, expected in zip(
        (log_prob, lse, entropy, max_log_prob), (-1 - log_sum, 2 + log_sum, log_sum + 1 / 3, -log_sum), strict=True
    ):
        torch.testing.assert_close(value[0].cpu(), expected)
    assert argmax.item() == 17


def test_a_nan_is_not_lost(kernel_device):
    parts = PartialStatistics.empty(1, 2, kernel_device)
    parts.values[:, 0] = torch.tensor(
        [[1.0, 2.0], [2.0, float("nan")], [0.0, float("nan")], [1.0, 2.0], [0.5, -torch.inf]]
    )
    parts.argmax.zero_()
    assert all(value.isnan().all() for value in parts.merge()[:4])


def test_a_sure_prediction_keeps_its_small_log_probability(kernel_device):
    parts = PartialStatistics.empty(1, 1, kernel_device)
    parts.values[:, 0, 0] = torch.tensor([5.0, 1.0 + 2**-20, 0.0, 5.0, 5.0])
    parts.argmax.zero_()
    assert parts.merge().log_prob.item() == pytest.approx(-(2**-20), rel=1e-3)
