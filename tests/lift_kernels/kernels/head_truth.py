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


def gradients(
    head: Head, linear: LinearHead, weights: Tensor, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(log_prob, gradients of sum_i weights_i nll_i for hidden_states, weight, bias), computed in `dtype`."""
    leaves = [x.detach().to(dtype).requires_grad_() for x in (head.hidden_states, head.weight, head.bias)]
    bias = None if linear.bias is None else leaves[2]
    logits = reference.linear_logits(*leaves[:2], bias, linear.scale, linear.softcap)
    if linear.exclude_index is not None:
        logits = logits.index_fill(1, torch.tensor(linear.exclude_index, device=logits.device), -torch.inf)
    log_prob = logits.log_softmax(-1).gather(1, head.targets[:, None])[:, 0]
    grads = torch.autograd.grad(-(log_prob * weights.to(dtype)).sum(), leaves, allow_unused=True)
    return log_prob.detach(), *(x if g is None else g for g, x in zip(grads, leaves, strict=True))
