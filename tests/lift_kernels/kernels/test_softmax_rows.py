from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lift_kernels.kernels.launch_configs import Launch
from lift_kernels.kernels.partial_statistics import REFERENCE, PartialStatistics
from lift_kernels.kernels.softmax_rows import set_target_column, softmax_rows, weighted_column_sums
from lift_kernels.linear_head import LinearHead, RowStats

LAUNCH = Launch({"BLOCK_V": 32}, num_warps=4)


def run(
    logits: Tensor, targets: Tensor, step: int, dtype: torch.dtype = torch.float32
) -> tuple[RowStats, Tensor, PartialStatistics]:
    """(statistics, d nll / d logits, state) of logits (N, V) taken in `step` columns at a time."""
    num_rows, num_columns = logits.shape
    head = LinearHead(torch.empty(0))
    exponentials = torch.full((num_rows, num_columns + 5), float("nan"), dtype=dtype, device=logits.device)[
        :, :num_columns
    ]
    state = PartialStatistics.empty(num_rows, 1, logits.device)
    state.values.fill_(float("nan"))
    for start in range(0, num_columns, step):
        columns = slice(start, min(start + step, num_columns))
        piece = logits[:, columns].contiguous()
        softmax_rows(piece, columns, head, targets, state, exponentials, LAUNCH, all_stats=True)
    stats = state.merge()
    factor = set_target_column(exponentials, targets, stats.log_prob, state, head)
    return stats, exponentials.float() * factor[:, None], state


def truth(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    leaf = logits.double().requires_grad_()
    log_prob = leaf.log_softmax(-1).gather(-1, targets[:, None])[:, 0]
    (-log_prob.sum()).backward()
    return log_prob.detach(), leaf.grad


RISING = {
    "level": [0.0] * 5,
    "one leap past the headroom": [0.0, 30.0, 0.0, 0.0, 0.0],
    "a leap in each piece": [-300.0, -200.0, -100.0, 0.0, 100.0],
    "steps within the headroom": [0.0, 15.0, 30.0, 45.0, 60.0],
    "falling": [100.0, 50.0, 0.0, -50.0, -100.0],
}


@pytest.mark.parametrize("levels", RISING.values(), ids=RISING)
@pytest.mark.parametrize("step", [32, 100, 333], ids=lambda step: f"{step}-columns-a-launch")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_the_moving_reference_changes_nothing(dtype, step, levels, kernel_device):
    logits = torch.randn(6, 333, device=kernel_device)
    for i, level in enumerate(levels):
        logits[:, i * 70 : (i + 1) * 70] += level
    targets = torch.tensor([0, 69, 70, 140, 250, 332], device=kernel_device)
    stats, gradient, state = run(logits, targets, step, dtype)
    log_prob, true_gradient = truth(logits, targets)
    torch.testing.assert_close(stats.log_prob.double(), log_prob, rtol=1e-6, atol=3e-6)
    assert torch.equal(stats.argmax, logits.argmax(-1))
    rounding = 2**-8 if dtype == torch.bfloat16 else 2e-6
    torch.testing.assert_close(gradient.double(), true_gradient, rtol=2 * rounding, atol=2e-7)
    assert (state.values[REFERENCE, :, 0] <= logits.amax(-1)).all()


def test_the_reference_does_move_and_what_was_written_follows(kernel_device):
    """Otherwise the test above would prove nothing: exponentials relative to the first block would overflow."""
    logits = torch.zeros(1, 64, device=kernel_device)
    logits[0, 40] = 200.0
    _, gradient, state = run(logits, torch.tensor([3], device=kernel_device), 64)
    assert state.values[REFERENCE, 0, 0].item() == 200.0
    assert gradient[0, 40].item() == pytest.approx(1.0) and gradient[0, 3].item() == pytest.approx(-1.0)


def test_entropy_where_the_reference_lags_behind_the_maximum(kernel_device):
    logits = torch.randn(4, 200, device=kernel_device)
    logits[:, 100:] += 18.0
    stats, *_ = run(logits, torch.zeros(4, dtype=torch.int64, device=kernel_device), 100)
    probabilities = logits.double().softmax(-1)
    entropy = -(probabilities * probabilities.log()).sum(-1)
    torch.testing.assert_close(stats.entropy.double(), entropy, rtol=0, atol=1e-5)
    torch.testing.assert_close(stats.max_log_prob.double(), probabilities.amax(-1).log(), rtol=0, atol=1e-5)


def test_columns_of_minus_infinity_take_no_part_and_a_nan_is_not_lost(kernel_device):
    logits = torch.randn(3, 90, device=kernel_device)
    logits[0, :64] = -torch.inf
    logits[1, 64:] = -torch.inf
    logits[2, 50] = float("nan")
    targets = torch.tensor([70, 5, 7], device=kernel_device)
    stats, gradient, _ = run(logits, targets, 45)
    log_prob, true_gradient = truth(logits[:2], targets[:2])
    torch.testing.assert_close(stats.log_prob[:2].double(), log_prob, rtol=0, atol=1e-5)
    torch.testing.assert_close(gradient[:2].double(), true_gradient, rtol=1e-5, atol=1e-7)
    assert stats.log_prob[2].isnan() and stats.entropy[2].isnan() and gradient[2].isnan().any()


def test_a_target_outside_the_vocabulary_writes_nowhere(kernel_device):
    """A GPU cannot refuse it without being waited for; what it must not do is write outside the row."""
    logits = torch.randn(3, 40, device=kernel_device)
    targets = torch.tensor([40, -7, 10], device=kernel_device)
    stats, gradient, _ = run(logits, targets, 40)
    assert stats.log_prob[:2].isneginf().all() and stats.log_prob[2].isfinite()
    torch.testing.assert_close(gradient[:2], logits[:2].softmax(-1), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("shape", [(1, 7), (70, 300)], ids=str)
def test_weighted_column_sums(shape, kernel_device):
    rows = torch.randn(shape, device=kernel_device).bfloat16()
    weight = torch.randn(shape[0], device=kernel_device)
    out = torch.full(shape[1:], float("nan"), device=kernel_device)
    weighted_column_sums(rows, weight, out, accumulate=False)
    expected = (weight.double()[:, None] * rows.double()).sum(0)
    torch.testing.assert_close(out.double(), expected, rtol=1e-5, atol=1e-5)
    weighted_column_sums(rows, weight, out, accumulate=True)
    torch.testing.assert_close(out.double(), 2 * expected, rtol=1e-5, atol=1e-5)
