"""The head of a test, and the float64 truth of its statistics."""

from __future__ import annotations

import torch
from torch import Tensor

from lift_kernels import reference
from lift_kernels.linear_head import LinearHead
from lift_kernels.testing import Head


def linear_head(head: Head, *, bias: bool = False, scale: float = 1.0, softcap: float | None = None) -> LinearHead:
    return LinearHead(head.weight, head.bias if bias else None, scale, softcap)


def statistics(head: Head, linear: LinearHead) -> tuple[Tensor, Tensor]:
    """(lse, log_prob) of the truth, in float32."""
    wide = head.double()
    bias = None if linear.bias is None else wide.bias
    logits = reference.linear_logits(wide.hidden_states, wide.weight, bias, linear.scale, linear.softcap)
    is_inside = (head.targets >= 0) & (head.targets < len(wide.weight))
    target_logit = logits.gather(1, head.targets.where(is_inside, 0)[:, None])[:, 0]
    lse = logits.logsumexp(1)
    return lse.float(), (target_logit - lse).where(is_inside, -torch.inf).float()
