"""Gradients of statistics from logits that are computed again, however they are tiled."""

from __future__ import annotations

import pytest
import torch

from lift_kernels import reference
from lift_kernels.fallback.second_pass import second_pass
from lift_kernels.fallback.tiles import Tiling
from lift_kernels.linear_head import LinearHead, NeedsGrad, RowStats, StatsGrad
from lift_kernels.testing import Head

OPTIONS = {"logit_scale": 1.5, "logit_softcap": 2.5, "exclude_index": 3}
TILINGS = {"one tile": Tiling(7, 80, 7, 80, False), "tiles": Tiling(7, 80, 3, 32, False)}


@pytest.mark.parametrize("has_targets", [True, False])
@pytest.mark.parametrize("has_entropy", [True, False])
@pytest.mark.parametrize("tiling", TILINGS.values(), ids=TILINGS)
def test_gradients_are_autograds(tiling, has_entropy, has_targets):
    head = Head.random(7, 8, 80, torch.float64, ignored=0)
    head.targets[head.targets == 3] = 40
    targets = head.targets if has_targets else None
    leaves = [leaf.requires_grad_() for leaf in (head.hidden_states, head.weight, head.bias)]
    logits = reference.linear_logits(*leaves, OPTIONS["logit_scale"], OPTIONS["logit_softcap"])
    kept = logits[:, torch.arange(80) != OPTIONS["exclude_index"]]  # of -inf the entropy has no derivative
    lse, log_probs = kept.logsumexp(-1), kept.log_softmax(-1)
    entropy, log_prob = -(log_probs.exp() * log_probs).sum(-1), torch.zeros_like(lse)
    if has_targets:
        log_prob = logits.gather(1, head.targets[:, None])[:, 0] - lse
    upstream = torch.randn(3, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    grad = StatsGrad(upstream[0] if has_targets else None, upstream[1], upstream[2] if has_entropy else None)
    loss = sum((g * s).sum() for g, s in zip(grad, (log_prob, lse, entropy), strict=True) if g is not None)
    true = torch.autograd.grad(loss, leaves)
    detached = [leaf.detach() for leaf in leaves]
    ours = second_pass(
        detached[0], LinearHead(*detached[1:], *OPTIONS.values()), targets,
        RowStats(*(values.detach() for values in (log_prob, lse, entropy, lse, lse))), grad,
        NeedsGrad(True, True, True), tiling,
    )  # fmt: skip
    for mine, expected in zip(ours[:3], true, strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-9, atol=1e-11)
    assert not ours.weight[3].any()
