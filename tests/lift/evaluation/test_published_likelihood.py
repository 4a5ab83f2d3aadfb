"""The published estimator, against its own lines, and its bias."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from lift.errors import LiftError
from lift.evaluation.likelihood import plan_masks
from lift.evaluation.published_likelihood import published_masks

MASK_ID, VOCAB = 0, 11


def forward_process(batch, prompt_index):
    """ML-GSAI/LLaDA, eval_llada.py at b7e6c35 (MIT)."""
    b, width = batch.shape
    target_len = (width - prompt_index.sum()).item()
    k = torch.randint(1, target_len + 1, (), device=batch.device)
    x = torch.round(torch.linspace(float(k), k + (b - 1) * (target_len / b), steps=b, device=batch.device)).long()
    x = ((x - 1) % target_len) + 1
    indices = torch.arange(target_len, device=batch.device).repeat(b, 1)
    is_mask = indices < x.unsqueeze(1)
    for i in range(b):
        is_mask[i] = is_mask[i][torch.randperm(target_len)]
    is_mask = torch.cat((torch.zeros(b, prompt_index.sum(), dtype=torch.bool), is_mask), dim=1)
    return torch.where(is_mask, MASK_ID, batch), (x / target_len).unsqueeze(1).repeat(1, width)


def logits_of(ids):
    """A model whose logits depend on all that it reads."""
    weight = torch.linspace(-2, 2, VOCAB)
    return torch.sin(ids.sum(1, keepdim=True) * 0.37 + torch.arange(ids.shape[1]))[..., None] * weight


@pytest.mark.parametrize("length", [1, 2, 5, 6, 9, 31])
@pytest.mark.parametrize(("num_forwards", "batch_size"), [(32, 8), (128, 8), (32, 32), (1, 8)])
def test_masks_and_value_are_those_of_the_published_code_to_the_bit(length, num_forwards, batch_size):
    prefix = torch.tensor([3, 9])
    target = torch.arange(length) % (VOCAB - 1) + 1
    size = min(num_forwards, batch_size)
    seq = torch.cat([prefix, target])[None].repeat(size, 1)
    prompt_index = torch.arange(seq.shape[1]) < len(prefix)
    torch.manual_seed(7)
    losses, sets = [], []
    for _ in range(num_forwards // size):
        noisy, p_mask = forward_process(seq, prompt_index)
        is_masked = noisy == MASK_ID
        loss = F.cross_entropy(logits_of(noisy)[is_masked], seq[is_masked], reduction="none") / p_mask[is_masked]
        losses.append((loss.sum() / size).item())
        sets.append(is_masked[:, len(prefix) :])
    plan = published_masks(length, num_forwards, batch_size, torch.Generator().manual_seed(7))
    assert torch.equal(plan.is_masked, torch.cat(sets))
    log_prob = torch.zeros(plan.is_masked.shape)
    for row, is_masked in enumerate(plan.is_masked):
        noisy = torch.where(torch.cat([torch.zeros(2, dtype=torch.bool), is_masked]), MASK_ID, seq[0])
        loss = F.cross_entropy(logits_of(noisy[None])[0, 2:], target, reduction="none")
        log_prob[row] = -loss * is_masked
    found = plan.estimate(log_prob)
    assert found.value == -sum(losses) / len(losses)
    assert found.standard_error is None and found.num_forwards == num_forwards


def test_some_of_its_rows_draw_no_odd_sizes():
    sizes = torch.stack([plan_masks(6, seed=s, estimator="published").is_masked.sum(1)[:8] for s in range(60)])
    assert set(sizes[:, 2].tolist()) == set(sizes[:, 6].tolist()) == {2, 4, 6}
    assert set(sizes[:, 1].tolist()) == {1, 2, 3, 4, 5, 6}


def test_whole_batches_are_asked_for():
    assert len(plan_masks(1, seed=0, estimator="published").is_masked) == 1
    with pytest.raises(LiftError, match="must be a multiple of 8, got 12"):
        plan_masks(6, seed=0, num_forwards=12, estimator="published")
