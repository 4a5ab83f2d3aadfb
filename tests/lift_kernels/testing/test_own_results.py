"""What the model's own logits say, by hand."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from lift_kernels import reference
from lift_kernels.testing.own_results import gradients_of, own_loss, relative_error, token_stats


def test_gradients_are_those_of_what_is_trained():
    model = nn.Linear(2, 3)
    model.bias.requires_grad_(False)
    gradients = gradients_of(model, model(torch.ones(1, 2)).sum())
    assert list(gradients) == ["weight"] and (gradients["weight"] == 1).all() and model.weight.grad is None
    assert gradients_of(
        nn.ModuleDict({"used": model, "unused": nn.Linear(1, 1)}), model(torch.ones(1, 2)).sum()
    ).keys() == {"used.weight"}


def test_statistics_are_those_of_the_definition():
    logits, labels = torch.randn(2, 3, 7).double(), torch.tensor([[0, -100, 6], [3, 2, -100]])
    truth = reference.linear_token_stats(logits, torch.eye(7).double(), labels)
    found = token_stats(logits, labels, truth[4])
    for name, value in zip(("log_prob", "lse", "entropy", "max_log_prob"), truth[:4], strict=True):
        torch.testing.assert_close(found[name], value)
    wrong = token_stats(logits, labels, (truth[4] + 1) % 7)
    assert (wrong["max_log_prob"] < found["max_log_prob"])[labels != -100].all()


def test_errors_are_relative_to_the_largest_entry_or_a_floor():
    truth = torch.tensor([1e-9, 4.0])
    assert relative_error(truth + torch.tensor([0.0, 1.0]), truth) == pytest.approx(0.25)
    assert relative_error(torch.tensor([2e-9]), torch.tensor([1e-9]), torch.tensor(1.0)) == pytest.approx(
        1e-9, rel=1e-3
    )
    assert relative_error(torch.zeros(2), torch.zeros(2)) == 0
    assert math.isnan(relative_error(torch.tensor([math.nan]), torch.ones(1)))


@pytest.mark.parametrize(("kind", "verdict"), [("same", False), ("next", True), ("other", None), ("none", None)])
def test_whose_label_the_own_loss_compares(kind, verdict):
    logits, labels = torch.randn(2, 6, 9), torch.randint(9, (2, 6))

    def model(labels):
        if kind == "other":
            raise AssertionError("no loss here")
        pairs = {"same": (logits, labels), "next": (logits[:, :-1], labels[:, 1:])}.get(kind)
        return SimpleNamespace(loss=pairs and nn.functional.cross_entropy(pairs[0].flatten(0, 1), pairs[1].flatten()))

    assert own_loss(model, {}, logits, labels) is verdict
