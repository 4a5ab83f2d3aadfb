from __future__ import annotations

import itertools
import math

import pytest
import torch

from lift_kernels.kernels.arithmetic import LOG2_E, LOWEST
from lift_kernels.kernels.partial_statistics import PartialStatistics, target_thresholds
from lift_kernels.linear_head import LinearHead
from lift_kernels.testing import Head


def parts_of(bits: torch.Tensor, targets: torch.Tensor, bounds: list[int], references: torch.Tensor):
    """The definition, in float64: statistics of the columns between `bounds` relative to `references` (N, S)."""
    parts = PartialStatistics.empty(len(bits), len(bounds) - 1, bits.device, runner_up=True)
    for s, (start, stop) in enumerate(itertools.pairwise(bounds)):
        z, shift = bits[:, start:stop].double(), references[:, s : s + 1].double()
        column = torch.arange(start, stop, device=bits.device)
        exponentials = (z - shift).exp2().where(column != targets[:, None], 0.0)
        parts.values[0, :, s] = references[:, s]
        parts.values[1, :, s] = exponentials.sum(-1)
        parts.values[2, :, s] = ((z - shift) * exponentials).sum(-1)
        parts.values[3, :, s] = z.amax(-1)
        is_here = (targets >= start) & (targets < stop)
        target_logit = z.gather(-1, (targets - start).clamp(0, stop - start - 1)[:, None])[:, 0]
        parts.values[4, :, s] = target_logit.where(is_here, -torch.inf)
        parts.values[5, :, s] = z.topk(2).values[:, 1] if stop - start > 1 else -torch.inf
        parts.argmax[:, s] = z.argmax(-1) + start
    return parts


@pytest.mark.parametrize("bounds", [[0, 50], [0, 1, 2, 50], [0, 7, 14, 21, 28, 35, 42, 49, 50]], ids=str)
@pytest.mark.parametrize("level", [0.0, -200.0, 80.0])
def test_merged_parts_are_the_whole(bounds, level, kernel_device):
    bits = LOG2_E * (torch.randn(5, 50, device=kernel_device) * 4 + level)
    targets = torch.tensor([0, 6, 7, 30, 49], device=kernel_device)
    bits[1, :2] = LOG2_E * (9.0 + level)  # two of the same
    logits = bits.double() / LOG2_E
    references = LOG2_E * level + 6 * torch.randn(5, len(bounds) - 1, device=kernel_device)
    log_prob, lse, entropy, max_log_prob, argmax, runner_up, _ = parts_of(bits, targets, bounds, references).merge()
    log_probs = logits.log_softmax(-1)
    close = {"rtol": 1e-6, "atol": 1e-5}
    torch.testing.assert_close(log_prob.double(), log_probs.gather(-1, targets[:, None])[:, 0], **close)
    torch.testing.assert_close(lse.double(), logits.logsumexp(-1), **close)
    torch.testing.assert_close(entropy.double(), -(log_probs.exp() * log_probs).sum(-1), **close)
    torch.testing.assert_close(max_log_prob.double(), log_probs.amax(-1), **close)
    torch.testing.assert_close(runner_up.double(), log_probs.topk(2).values[:, 1], **close)
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
    log_prob, lse, entropy, max_log_prob, argmax, runner_up, _ = parts.merge()
    assert runner_up is None
    # In bits: 3 relative to 2 that are not the target's, whose logit is 1.
    log_sum, weighted = math.log(3.5), (-1.0 - 0.5) / 3.5
    for value, expected in zip(
        (log_prob, lse, entropy, max_log_prob),
        (-math.log(2) - log_sum, 2 * math.log(2) + log_sum, log_sum - math.log(2) * weighted, -log_sum),
        strict=True,
    ):
        assert value.item() == pytest.approx(expected, rel=1e-6)
    assert argmax.item() == 17


@pytest.mark.parametrize("where", ["target", "others"])
def test_a_nan_is_not_lost(where, kernel_device):
    values = torch.tensor([[1.0, 2.0], [2.0, 1.0], [0.0, 0.0], [1.0, 2.0], [0.5, -torch.inf]])
    if where == "target":
        values[4, 0] = torch.nan
    else:
        values[1:3, 1] = torch.nan
    parts = PartialStatistics.empty(1, 2, kernel_device)
    parts.values[:, 0] = values
    parts.argmax.zero_()
    assert all(value.isnan().all() for value in parts.merge()[:4])


@pytest.mark.parametrize("others", [0.3, 1e-3, 1e-6, 1e-12, 1e-30])
def test_a_sure_target_keeps_the_digits_of_its_log_probability(others, kernel_device):
    """Also where the sums were taken relative to a reference far below it, and are in two parts."""
    parts = PartialStatistics.empty(1, 2, kernel_device)
    low, share = 5.0 - 20.0, torch.tensor([0.25, 0.75], dtype=torch.float64) * others
    parts.values[:, 0] = torch.tensor(
        [
            [low, 5.0], [share[0] * 2**20, share[1]], [0.0, 0.0], [low, 5.0], [-torch.inf, 5.0],
        ]
    )  # fmt: skip
    parts.argmax.zero_()
    stats = parts.merge()
    assert stats.log_prob.item() == pytest.approx(-math.log1p(others), rel=1e-6)
    assert stats.max_log_prob.item() == stats.log_prob.item()


@pytest.mark.parametrize("num_rows", [0, 600])
def test_thresholds_are_the_targets_logits_in_bits(num_rows):
    head = Head.random(num_rows, 8, 40, ignored=0.0)
    targets = head.targets.clone()
    targets[::7] = 99  # of another part of the vocabulary: any number, but a number
    found = target_thresholds(head.hidden_states, LinearHead(head.weight, head.bias, 0.5, 3.0), targets)
    logits = 3 * torch.tanh((head.hidden_states.double() @ head.weight.double().T + head.bias.double()) / 6)
    expected = logits.gather(1, head.targets[:, None])[:, 0] * math.log2(math.e)
    is_here = targets < 40
    torch.testing.assert_close(found[is_here].double(), expected[is_here], rtol=1e-5, atol=1e-5)
    assert found.shape == (num_rows,) and found.isfinite().all()
