from __future__ import annotations

import pytest
import torch

from benchmarks.ops import logits_providers
from benchmarks.ops.cases import CASES
from benchmarks.ops.truth import reference_losses, reference_stats
from lift_kernels.testing import Head
from tests.benchmarks.support import HERE

BY_LOGITS = ("float32_logits", "float32_logits_of_targets", "compiled_float32_logits")


def head_of(inputs) -> Head:
    hidden_states, weight, targets = (tensor.detach() for tensor in inputs)
    return Head(hidden_states, weight, weight[:, 0], targets, torch.ones(targets.shape)).double()


@pytest.mark.parametrize("name", BY_LOGITS)
def test_losses_and_gradients_are_those_of_the_case(name):
    case = CASES["smoke-sequence-trained"]
    inputs = case.inputs()
    loss = getattr(logits_providers, name)(case, inputs, HERE)()
    factor = torch.full((case.num_tokens,), 1 / case.num_targets, dtype=torch.float64)
    truth = reference_losses(head_of(inputs), ("hidden_states", "weight"), factor, has_bias=False)
    torch.testing.assert_close(loss.double(), (truth.nll * factor).sum(), atol=2e-2, rtol=0)  # of bfloat16 logits
    for leaf, gradient in zip(inputs, truth.gradients.values(), strict=False):
        torch.testing.assert_close(leaf.grad.double(), gradient, atol=2e-2 * gradient.abs().max().item(), rtol=0)


@pytest.mark.parametrize("name", BY_LOGITS)
def test_statistics_are_those_of_the_case(name):
    case = CASES["smoke-sequence-stats"]
    inputs = case.inputs()
    ours = getattr(logits_providers, name)(case, inputs, HERE)()
    is_target = inputs[2] != -100
    for value, true in zip(ours[:4], reference_stats(head_of(inputs), inputs[2], has_bias=False)[:4], strict=True):
        value = value if value.shape[0] == case.num_targets else value[is_target]
        torch.testing.assert_close(value.double(), true[is_target], atol=2e-2, rtol=0)


@pytest.mark.parametrize(("kind", "products"), [("stats", 1), ("frozen", 2), ("trained", 3)])
def test_the_bound_multiplies_the_rows_with_a_target_and_allocates_nothing(monkeypatch, kind, products):
    case = CASES[f"smoke-sequence-{kind}"]
    step = logits_providers.matrix_products(case, case.inputs(), HERE)
    shapes, real = [], torch.mm

    def mm(a, b, *, out):
        shapes.append((*a.shape, b.shape[1]))
        return real(a, b, out=out)

    monkeypatch.setattr(torch, "mm", mm)
    assert step() is None
    rows, width, vocab_size = case.num_targets, case.width, case.vocab_size
    assert shapes == [(rows, width, vocab_size), (rows, vocab_size, width), (vocab_size, rows, width)][:products]
    assert sum(2 * a * b * c for a, b, c in shapes) == case.flops
