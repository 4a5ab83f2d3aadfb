from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lift_kernels.kernels.arithmetic import LOG2_E
from lift_kernels.kernels.launch_configs import Launch, launch_config
from lift_kernels.kernels.partial_statistics import REFERENCE, PartialStatistics
from lift_kernels.kernels.softmax_rows import finish_rows, softmax_rows, weighted_column_sums
from lift_kernels.linear_head import LinearHead, RowStats

LAUNCH = Launch({"BLOCK_V": 32}, num_warps=4)


def run(
    logits: Tensor, targets: Tensor, step: int, dtype: torch.dtype = torch.float32, **head_options
) -> tuple[RowStats, Tensor, PartialStatistics]:
    """(statistics, d nll / d logits, state) of logits (N, V) taken in `step` columns at a time."""
    num_rows, num_columns = logits.shape
    head = LinearHead(torch.empty(0), **head_options)
    exponentials = torch.full((num_rows, num_columns + 5), float("nan"), dtype=dtype, device=logits.device)[
        :, :num_columns
    ]
    state = PartialStatistics.empty(num_rows, 1, logits.device, runner_up=True)
    state.values.fill_(float("nan"))
    for start in range(0, num_columns, step):
        columns = slice(start, min(start + step, num_columns))
        piece = logits[:, columns].contiguous()
        softmax_rows(piece, columns, head, targets, state, exponentials, LAUNCH, all_stats=True)
    stats = state.merge()
    assert not exponentials.gather(1, targets.clamp(0, num_columns - 1)[:, None])[is_inside(targets, logits)].any()
    factor, target_factor = finish_rows(state, head)
    gradient = exponentials.float() * factor[:, None]
    rows = torch.arange(num_rows, device=logits.device)[is_inside(targets, logits)]
    gradient[rows, targets[rows]] = target_factor[rows]
    return stats, gradient, state


def is_inside(targets: Tensor, logits: Tensor) -> Tensor:
    return (targets >= 0) & (targets < logits.shape[1])


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
    second = logits.double().log_softmax(-1).topk(2).values[:, 1]
    torch.testing.assert_close(stats.runner_up_log_prob.double(), second, rtol=1e-6, atol=3e-6)
    rounding = 2**-8 if dtype == torch.bfloat16 else 2e-6
    torch.testing.assert_close(gradient.double(), true_gradient, rtol=2 * rounding, atol=2e-7)
    assert (state.values[REFERENCE.value, :, 0] <= logits.amax(-1) * LOG2_E).all()


def test_the_reference_does_move_and_what_was_written_follows(kernel_device):
    """Otherwise the test above would prove nothing: exponentials relative to the first block would overflow."""
    logits = torch.zeros(1, 64, device=kernel_device)
    logits[0, 40] = 200.0
    _, gradient, state = run(logits, torch.tensor([3], device=kernel_device), 64)
    assert state.values[REFERENCE.value, 0, 0].item() == pytest.approx(200.0 * LOG2_E)
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


@pytest.mark.parametrize("level", [0.0, 40.0, -40.0])
def test_a_sure_row_keeps_its_digits(level, kernel_device):
    """What is left for the others goes from 1e-3 to 1e-12; they come in the same launch, before and after the target."""
    left = torch.logspace(-3, -12, 10)
    targets = torch.arange(10, device=kernel_device) * 9 + 3
    logits = torch.randn(10, 90, device=kernel_device) + level
    rows = torch.arange(10, device=kernel_device)
    others = logits.double().exp().index_put((rows, targets), torch.zeros((), dtype=torch.float64)).sum(1)
    logits[rows, targets] = (others / left.double().to(kernel_device)).log().float()
    stats, gradient, _ = run(logits, targets, 45)
    # Exact but for float64's own rounding: sums of positive terms only.
    share = (logits.double() - logits.double()[rows, targets][:, None]).exp()
    share[rows, targets] = 0.0
    others = share.sum(1)
    torch.testing.assert_close(stats.log_prob.double(), -others.log1p(), rtol=1e-5, atol=0)
    share[rows, targets] = -others
    torch.testing.assert_close(gradient.double(), share / (1 + others)[:, None], rtol=1e-5, atol=0)


@pytest.mark.parametrize("step", [30, 90])
@pytest.mark.parametrize("excluded", [0, 31, 89])
@pytest.mark.parametrize("softcap", [None, 20.0])
def test_an_excluded_entry_has_no_probability_and_no_gradient(softcap, excluded, step, kernel_device):
    logits = torch.randn(3, 90, device=kernel_device)
    targets = torch.tensor([1, 30, 88], device=kernel_device)
    logits[:, excluded] = 60.0
    stats, gradient, _ = run(logits, targets, step, exclude_index=excluded, softcap=softcap)
    leaf = logits.double().requires_grad_()
    capped = leaf if softcap is None else softcap * (leaf / softcap).tanh()
    without = capped.index_fill(1, torch.tensor(excluded, device=kernel_device), -torch.inf)
    log_probs = without.log_softmax(-1)
    nll = -log_probs.gather(-1, targets[:, None])[:, 0]
    nll.sum().backward()
    torch.testing.assert_close(stats.log_prob.double(), -nll.detach(), rtol=1e-6, atol=3e-6)
    torch.testing.assert_close(stats.lse.double(), without.logsumexp(-1).detach(), rtol=1e-6, atol=3e-6)
    torch.testing.assert_close(
        stats.runner_up_log_prob.double(), log_probs.topk(2).values[:, 1].detach(), rtol=1e-6, atol=3e-6
    )
    assert torch.equal(stats.argmax, without.argmax(-1))
    torch.testing.assert_close(gradient.double(), leaf.grad, rtol=4e-6, atol=2e-7)
    assert not gradient[:, excluded].any()


def test_a_target_outside_the_vocabulary_writes_nowhere(kernel_device):
    """A GPU cannot refuse it without being waited for; what it must not do is write outside the row."""
    logits = torch.randn(3, 40, device=kernel_device)
    targets = torch.tensor([40, -7, 10], device=kernel_device)
    stats, gradient, _ = run(logits, targets, 40)
    assert stats.log_prob[:2].isneginf().all() and stats.log_prob[2].isfinite()
    torch.testing.assert_close(gradient[:2], logits[:2].softmax(-1), rtol=1e-5, atol=1e-7)


def test_each_of_many_rows_is_one_warps():
    cpu = torch.device("cpu")
    for num_rows, blocks, num_warps in ((0, 2048, 4), (1023, 2048, 4), (1024, 512, 1), (10**6, 512, 1)):
        launch = launch_config("softmax_rows", torch.bfloat16, cpu, num_rows)
        assert (launch.blocks, launch.num_warps) == ({"BLOCK_V": blocks}, num_warps)


@pytest.mark.parametrize("target", [2, 40, 88])
@pytest.mark.parametrize("step", [45, 90])
def test_the_target_among_the_most_likely(target, step, kernel_device):
    """It takes no part in the loop's reference, largest and runner-up, and is compared with them at the end."""
    logits = torch.randn(4, 90, device=kernel_device)
    logits[:, 50] = 5.0
    logits[:, target] = torch.tensor([9.0, 5.0, 4.5, -20.0], device=kernel_device)
    stats, *_ = run(logits, torch.full((4,), target, device=kernel_device), step)
    assert stats.argmax.tolist() == [target, min(target, 50), 50, 50]
    log_probs = logits.double().log_softmax(-1).topk(2).values
    torch.testing.assert_close(stats.max_log_prob.double(), log_probs[:, 0], rtol=1e-6, atol=3e-6)
    torch.testing.assert_close(stats.runner_up_log_prob.double(), log_probs[:, 1], rtol=1e-6, atol=3e-6)


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
