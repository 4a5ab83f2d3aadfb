from __future__ import annotations

import torch

from benchmarks.ops.cases import CASES
from benchmarks.ops.provider import Baseline, backward, is_loss, not_installed
from tests.benchmarks.support import HERE

CASE = CASES["smoke-frozen"]


def test_a_baseline_is_its_three_functions():
    seen = []
    baseline = Baseline(
        lambda *arguments: seen.append(arguments) or (lambda: 7), is_loss, lambda config: f"not on {config.device}"
    )
    inputs = CASE.inputs()
    assert baseline.takes(CASE) and not baseline.takes(CASES["smoke-stats"])
    assert baseline.missing(HERE) == "not on cpu" and baseline.prepare(CASE, inputs, HERE)() == 7
    assert seen == [(CASE, inputs, HERE)]


def test_a_baseline_takes_every_case_and_misses_nothing_unless_it_says_so():
    baseline = Baseline(lambda *_: None)
    assert baseline.takes(CASES["smoke-stats"]) and baseline.missing(HERE) is None


def test_backward_leaves_gradients_and_returns_a_constant():
    leaf = torch.ones(2, requires_grad=True)
    loss = backward((3 * leaf).sum())
    assert loss.item() == 6 and not loss.requires_grad and leaf.grad.tolist() == [3, 3]


def test_a_package_is_installed_or_not():
    assert not_installed("torch") is None and not_installed("no_such_package") == "not installed"
