"""The loss of a patched model with an entry of the vocabulary that has no probability."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F
from transformers import BertConfig, BertForMaskedLM

from lift_kernels import TokenStats, apply_lift_kernels
from lift_kernels.models import fused_loss, next_token
from lift_kernels.ops import active_rows

V, L, MASK = 50, 6, 7


@pytest.fixture
def model():
    config = BertConfig(
        vocab_size=V, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24,
        max_position_embeddings=L, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    return BertForMaskedLM(config).double()


@pytest.fixture
def batch():
    labels = torch.randint(V - 1, (3, L)).where(torch.rand(3, L) < 0.7, -100)
    labels[labels == MASK] = V - 1
    return {"input_ids": torch.randint(V, (3, L)), "labels": labels}


def gradients_of(model, loss):
    model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters()}


@pytest.mark.parametrize("is_lift", [False, True])
def test_the_mask_token_may_be_excluded(is_lift, model, batch):
    logits = model(batch["input_ids"]).logits
    logits = logits.masked_fill(torch.arange(V) == MASK, -torch.inf)
    nll = F.cross_entropy(logits.flatten(0, 1), batch["labels"].flatten(), reduction="none").view(3, L)
    num_masked = (batch["labels"] != -100).sum(1)
    loss = nll.sum() / (9 if not is_lift else 9 * 0.5)
    expected = gradients_of(model, loss)
    apply_lift_kernels(model, exclude_index=MASK)
    rows = {"timestep": torch.full((3,), 0.5), "num_keep": num_masked, "order": torch.ones(3, dtype=torch.int64)}
    extra = {"lift": rows} if is_lift else {"return_token_stats": True}
    outputs = model(**batch, denominator=9.0, **extra)
    torch.testing.assert_close(outputs.loss, loss)
    torch.testing.assert_close(-outputs.token_stats.log_prob, nll)
    for name, gradient in gradients_of(model, outputs.loss).items():
        torch.testing.assert_close(gradient, expected[name], msg=name)


def test_what_is_excluded_is_checked(model, batch):
    with pytest.raises(ValueError, match=rf"^apply_lift_kernels: exclude_index must lie in \[0, {V}\), got {V}"):
        apply_lift_kernels(model, exclude_index=V)
    apply_lift_kernels(model, exclude_index=MASK)
    batch["labels"][0, 0] = MASK
    with pytest.raises(ValueError, match=f"^BertForMaskedLM: labels must not equal exclude_index, {MASK}"):
        model(**batch)


@pytest.mark.parametrize(("exclude_index", "num_entries", "argmax"), [(None, V, 0), (0, V - 1, 1), (3, V - 1, 0)])
def test_all_zero_logits_at_the_first_position_leave_the_excluded_entry_out(exclude_index, num_entries, argmax):
    labels = torch.tensor([[4, -100], [-100, 5]])
    stats = TokenStats(*torch.zeros(4, 2, 2), argmax=torch.full((2, 2), -1))
    stats = next_token.with_uniform_first(stats, labels, V, exclude_index)
    log_v = math.log(num_entries)
    for values, value in zip(stats, (-log_v, log_v, log_v, -log_v, argmax), strict=True):
        torch.testing.assert_close(values[:, 0].double(), torch.tensor([value, values[1, 0].item()]).double())
    torch.testing.assert_close(next_token.uniform_first_loss(labels, None, 2.0, num_entries), torch.tensor(log_v / 2))


@pytest.mark.parametrize("num_targets", [0, 2, 3])
def test_a_wrong_count_that_is_not_read_leaves_no_gradient_that_looks_right(num_targets, model, batch, monkeypatch):
    monkeypatch.setattr(active_rows, "_is_read", lambda targets: False)
    monkeypatch.setattr(active_rows, "report_later", lambda is_wrong, message: None)
    monkeypatch.setattr(fused_loss.checks, "is_on_host", lambda *tensors: False)
    labels = batch["labels"].fill_(-100)
    labels[0, 2], labels[1, 4], labels[2, 0] = 3, 5, 11
    apply_lift_kernels(model)
    loss = model(**batch, num_targets=num_targets).loss
    backbone = gradients_of(model, loss)["bert.embeddings.word_embeddings.weight"]
    assert bool(loss.isnan()) == bool(backbone.isnan().any()) == (num_targets != 3)
