from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from benchmarks.rivals.rival import IGNORED
from benchmarks.rivals.table import BASELINES, COMPILED, PACKAGES, PLAIN, RIVALS

HERE = {name: rival for name, rival in RIVALS.items() if rival.obstacle("cpu") is None}


def test_it_has_every_package_that_users_may_take_instead():
    assert {rival.package for rival in PACKAGES.values()} == {
        "quack-kernels", "liger-kernel", "cut-cross-entropy", "trl", "torch"
    }  # fmt: skip
    assert set(BASELINES) == {PLAIN, COMPILED} and not set(BASELINES) & set(PACKAGES)


@pytest.mark.parametrize("name", HERE)
def test_whoever_runs_on_a_cpu_gives_the_mean_loss_of_the_rows_that_count_and_its_gradients(name):
    hidden_states, weight = torch.randn(10, 8, requires_grad=True), torch.randn(24, 8, requires_grad=True)
    targets = torch.randint(24, (10,))
    targets[[2, 7]] = IGNORED
    loss = HERE[name].loss(hidden_states, weight, targets)
    truth = F.cross_entropy(hidden_states.double() @ weight.double().T, targets)
    torch.testing.assert_close(loss.double(), truth, rtol=1e-5, atol=1e-5)
    leaves = (hidden_states, weight)
    for ours, true in zip(torch.autograd.grad(loss, leaves), torch.autograd.grad(truth, leaves), strict=True):
        torch.testing.assert_close(ours, true, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", [name for name, rival in HERE.items() if rival.token_losses])
def test_the_losses_of_tokens_are_those_that_the_mean_is_taken_of(name):
    hidden_states, weight, targets = torch.randn(10, 8), torch.randn(24, 8), torch.randint(24, (10,))
    targets[3] = IGNORED
    losses = HERE[name].token_losses(hidden_states, weight, targets)
    truth = F.cross_entropy(hidden_states.double() @ weight.double().T, targets, reduction="none")
    takes_part = targets != IGNORED
    torch.testing.assert_close(losses[takes_part].double(), truth[takes_part], rtol=1e-5, atol=1e-5)
