"""Statistics of softmax rows, gathered block by block."""

from __future__ import annotations

import pytest
import torch

from lift_kernels.fallback.online_softmax import OnlineSoftmax, log1p_exp


def gather(logits, targets, step):
    softmax = OnlineSoftmax(logits, targets, all_stats=True, runner_up=True)
    for start in range(0, logits.shape[1], step):
        stop = min(start + step, logits.shape[1])
        softmax.update(logits[:, start:stop].T.clone(memory_format=torch.contiguous_format), slice(start, stop))
    return softmax.finish()


@pytest.mark.parametrize("step", [7, 32, 64, 200])
@pytest.mark.parametrize("has_targets", [True, False])
def test_blocks_of_any_size_give_the_statistics_of_the_whole(step, has_targets):
    logits = torch.randn(9, 200, dtype=torch.float64) * 10 + torch.linspace(-300, 300, 9, dtype=torch.float64)[:, None]
    targets = torch.randint(200, (9,))
    targets[:3] = logits[:3].argmax(1)
    stats = gather(logits, targets if has_targets else None, step)
    log_probs = logits.log_softmax(1)
    best = log_probs.topk(2, 1)
    expected = (logits.logsumexp(1), -(log_probs.exp() * log_probs).sum(1), *best.values.T)
    for ours, truth in zip((*stats[1:4], stats.runner_up_log_prob), expected, strict=True):
        torch.testing.assert_close(ours, truth)
    assert stats.argmax.equal(best.indices[:, 0])
    if has_targets:
        torch.testing.assert_close(stats.log_prob, log_probs.gather(1, targets[:, None])[:, 0])


@pytest.mark.parametrize("target", [3, 40, 70])
def test_equal_logits_go_to_the_lowest_index_and_to_both_places(target):
    logits = torch.zeros(1, 96)
    logits[0, [3, 40, 70]] = 5.0
    for targets in (torch.tensor([target]), None):
        for step in (20, 32, 96):
            stats = gather(logits, targets, step)
            assert stats.argmax.tolist() == [3]
            torch.testing.assert_close(stats.runner_up_log_prob, stats.max_log_prob)


def test_the_entropy_of_a_row_all_but_certain_keeps_its_relative_precision():
    logits = torch.zeros(1, 101)
    logits[0, 0] = 30.0
    entropy = gather(logits, torch.tensor([0]), 101).entropy.double()
    others = 100 * torch.exp(torch.tensor(-30.0, dtype=torch.float64))  # 1 - p to first order
    torch.testing.assert_close(entropy[0], others * 31, rtol=1e-5, atol=0)


def test_logits_of_minus_infinity():
    logits = torch.zeros(2, 64)
    logits[:, :32] = -torch.inf
    logits[1, 33:] = -torch.inf
    stats = gather(logits, torch.tensor([33, 32]), 32)
    assert stats.lse.tolist() == [pytest.approx(torch.tensor(32.0).log().item()), 0.0]
    assert stats.log_prob[1] == 0 and stats.entropy[1] == 0 and stats.argmax.tolist() == [32, 32]


def test_log1p_exp_of_any_size():
    x = torch.tensor([-700.0, -30.0, 0.0, 30.0, 41.0, 700.0], dtype=torch.float64)
    expected = torch.tensor([-700.0, -30.0, 0.0, 0, 0, 0], dtype=torch.float64).exp().log1p()
    expected[3:] = x[3:] + (-x[3:]).exp().log1p()
    torch.testing.assert_close(log1p_exp(x), expected, rtol=1e-15, atol=0)
