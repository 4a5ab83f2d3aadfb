"""The entropy of tokens that are right, added to the loss of a patched model."""

from __future__ import annotations

import pytest
import torch

from lift_kernels import apply_lift_kernels
from tests.lift_kernels.tiny_models import build, expect_equal, gradients, labels_for, own_logits


@pytest.mark.parametrize("name", ["roberta", "dream"])
def test_the_term_and_its_gradients_are_those_of_the_logits(name):
    model = build(name)
    inputs, labels = {"input_ids": torch.randint(60, (3, 12))}, labels_for(name)
    logits = own_logits(name, model, inputs)
    log_probs, is_labelled = logits.log_softmax(-1), labels != -100
    labels = labels.where(~is_labelled | (torch.rand(3, 12) < 0.5), logits.argmax(-1))  # half of them right
    entropy = -(log_probs.exp() * log_probs).sum(-1)
    is_right = is_labelled & (logits.argmax(-1) == labels)
    assert 3 < is_right.sum() < is_labelled.sum()
    nll = -log_probs.gather(-1, labels.clamp(min=0)[..., None])[..., 0]
    expected = nll[is_labelled].sum() / 5 + 2 * entropy[is_right].mean()
    truth = gradients(model, expected)
    apply_lift_kernels(model)
    outputs = model(**inputs, labels=labels, denominator=5.0, confidence=2.0)
    torch.testing.assert_close(outputs.loss, expected)
    expect_equal(gradients(model, outputs.loss), truth, 1e-9)


def test_nothing_right_adds_nothing_and_the_one_forward_objective_has_no_such_term():
    model = apply_lift_kernels(build("bert"))
    ids = torch.randint(60, (3, 12))
    labels = (model(input_ids=ids).logits.argmax(-1) + 1) % 60
    plain, more = (model(input_ids=ids, labels=labels, confidence=weight).loss for weight in (0.0, 2.0))
    assert torch.equal(plain, more)
    lift = {"timestep": torch.ones(3), "num_keep": torch.ones(3).long(), "order": torch.ones(3).long()}
    with pytest.raises(ValueError, match=r"confidence must be 0 with lift, got 2\.0"):
        model(input_ids=ids, labels=labels, confidence=2.0, lift=lift)
