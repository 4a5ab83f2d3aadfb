from __future__ import annotations

import torch

from benchmarks.ops.truth import logit_sizes, random_head, reference_losses, reference_stats
from tests.benchmarks.support import HERE, SHAPE


def test_chunks_of_the_reference_change_nothing(monkeypatch):
    head = random_head(*SHAPE, torch.float64, HERE.device)
    names, factor = ("hidden_states", "weight", "bias"), head.token_weight.double()
    whole, stats = reference_losses(head, names, factor), reference_stats(head, head.targets)
    monkeypatch.setattr("benchmarks.ops.truth._MOST_LOGITS", 7 * SHAPE[2])
    chunks, chunk_stats = reference_losses(head, names, factor), reference_stats(head, head.targets)
    torch.testing.assert_close(chunks.nll, whole.nll)
    for name in names:
        assert whole.gradients[name].any()
        torch.testing.assert_close(chunks.gradients[name], whole.gradients[name])
    for ours, expected in zip(chunk_stats, stats, strict=True):
        torch.testing.assert_close(ours, expected)


def test_the_sizes_of_logits_are_told_where_tensor_cores_multiply(monkeypatch):
    head = random_head(*SHAPE, torch.bfloat16, HERE.device)
    assert not any(sizes.any() for sizes in logit_sizes(head))  # not here
    monkeypatch.setattr("benchmarks.ops.truth._on_tensor_cores", lambda head: True)
    monkeypatch.setattr("benchmarks.ops.truth._MOST_LOGITS", 7 * SHAPE[2])
    sizes, is_target = logit_sizes(head, logit_scale=3.0), head.targets >= 0
    logits = 3 * (head.hidden_states.float() @ head.weight.float().t() + head.bias.float())
    at_targets = logits[is_target, head.targets[is_target]].abs()
    torch.testing.assert_close(sizes.target[is_target], at_targets, rtol=2e-2, atol=2e-2)
    torch.testing.assert_close(sizes.largest, logits.abs().amax(1), rtol=2e-2, atol=0)
    assert not sizes.target[~is_target].any() and torch.equal(sizes.nll, sizes.target + sizes.largest)
