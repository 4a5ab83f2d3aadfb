"""The loss by way of the logits, from its definition."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from lift_kernels.testing import aligned_logits, logits_loss


def model(input_ids: torch.Tensor, *, scale: float = 1.0) -> SimpleNamespace:
    return SimpleNamespace(logits=scale * input_ids[..., None] * torch.arange(4.0))


def test_logits_come_as_they_are_or_moved_to_the_token_they_predict():
    ids = torch.tensor([[1.0, 2.0, 3.0]])
    assert torch.equal(aligned_logits(model, {"input_ids": ids, "scale": 2.0})[0, :, 1], torch.tensor([2.0, 4.0, 6.0]))
    moved = aligned_logits(model, {"input_ids": ids}, predicts_next=True)
    assert moved.shape == (1, 3, 4)
    assert torch.equal(moved[0, :, 1], torch.tensor([0.0, 1.0, 2.0]))


def test_the_loss_is_the_weighted_sum_over_labels():
    logits, labels = torch.randn(2, 3, 5).double(), torch.tensor([[4, -100, 0], [-100, 2, -100]])
    token_weight = torch.tensor([[0.5, 9.0, 2.0], [9.0, 3.0, 9.0]]).double()
    log_probs = logits.log_softmax(-1)
    expected = -(0.5 * log_probs[0, 0, 4] + 2 * log_probs[0, 2, 0] + 3 * log_probs[1, 1, 2]) / 7
    assert logits_loss(logits, labels, token_weight, 7.0).item() == pytest.approx(expected.item(), rel=1e-12)
