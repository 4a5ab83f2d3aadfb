"""The scoring forward: the statistics of some rows, in their places, without gradient."""

from __future__ import annotations

import pytest
import torch

from lift.learnability import score_rows
from lift_kernels import apply_lift_kernels
from tests.lift.support.tiny import tiny_model


def rows_of_two_lengths():
    clean = torch.randint(2, 8, (4, 10))
    labels = clean.where(torch.rand(4, 10) < 0.5, -100)
    attention_mask = (torch.arange(10) < torch.tensor([[10], [6], [10], [8]])).long()
    return clean.masked_fill(labels != -100, 1), labels.where(attention_mask == 1, -100), attention_mask


@pytest.mark.parametrize("chosen", [[1, 3], [2], [0, 1, 2, 3], [3, 0]], ids=str)
def test_the_rows_asked_for_have_the_statistics_of_their_logits_and_the_others_none(chosen):
    model, (corrupted, labels, attention_mask) = apply_lift_kernels(tiny_model().double().eval()), rows_of_two_lengths()
    rows = torch.tensor(chosen)
    stats = score_rows(model, corrupted, labels, rows, attention_mask=attention_mask[rows])
    with torch.no_grad():
        log_probs = model(corrupted, attention_mask=attention_mask).logits.log_softmax(-1)
    is_label = (labels != -100) & torch.isin(torch.arange(4), rows)[:, None]
    gold = log_probs.gather(-1, labels.where(labels != -100, 0)[..., None])[..., 0]
    torch.testing.assert_close(stats.log_prob.double(), gold.where(is_label, 0), rtol=0, atol=1e-5)
    entropy = -(log_probs.exp() * log_probs).sum(-1)
    torch.testing.assert_close(stats.entropy.double()[is_label], entropy[is_label], rtol=0, atol=1e-5)
    assert torch.equal(stats.argmax[is_label], log_probs.argmax(-1)[is_label])
    assert not any(values.requires_grad for values in stats)


def test_no_row_costs_no_forward():
    labels = torch.zeros(2, 3, dtype=torch.int64)
    stats = score_rows(lambda **_: pytest.fail("the model was asked"), labels, labels, labels.new_zeros(0))
    assert [values.shape for values in stats] == [(2, 3)] * 5 and not stats.log_prob.any() and not stats.entropy.any()
    assert (stats.argmax == -1).all() and stats.log_prob.dtype == torch.float32
