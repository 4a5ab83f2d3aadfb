from __future__ import annotations

import torch

from benchmarks.ops.truth import random_head, reference_losses, reference_stats
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
