"""Tokens of which a model is all but certain, with their losses and gradients in exact arithmetic."""

from __future__ import annotations

import mpmath
import torch

from lift_kernels.linear_head import LinearHead

TARGET, SIZE = 7, 507


class EasyTokens:
    """Tokens whose targets have p = 1 - 1e-3 ... 1 - 1e-13, all logits exact in bfloat16 products.

    z_y = g_i and the others' u_v, so that nll_i = log1p(S exp(-g_i)) with S = sum_v exp(u_v).
    """

    def __init__(self, dtype: torch.dtype, num_tokens: int = 1000) -> None:
        generator = torch.Generator().manual_seed(0)
        step = torch.randperm(num_tokens, generator=generator) * 999 // (num_tokens - 1)  # of 3/128 nats
        gap = 13.75 + 3 * step / 128
        others = torch.randint(-32, 32, (SIZE,), generator=generator) / 16
        self.hidden_states = torch.stack(
            [(gap * 4).floor() / 4, gap - (gap * 4).floor() / 4, torch.ones(num_tokens)], 1
        )
        weight = torch.stack([torch.zeros(SIZE), torch.zeros(SIZE), others], 1)
        weight[TARGET] = torch.tensor([1.0, 1.0, 0.0])
        self.hidden_states, weight = self.hidden_states.to(dtype), weight.to(dtype)
        self.head, self.targets = LinearHead(weight), torch.full((num_tokens,), TARGET)
        self.easiest_first = step.argsort(descending=True)
        with mpmath.workdps(40):
            rest = [u for v, u in enumerate(others.tolist()) if v != TARGET]
            total = mpmath.fsum(mpmath.exp(u) for u in rest)
            mean = mpmath.fsum(u * mpmath.exp(u) for u in rest) / total
            odds = [total * mpmath.exp(-g) for g in gap.tolist()]
            share = [x / (1 + x) for x in odds]  # of the others
            self.nll = torch.tensor([float(mpmath.log1p(x)) for x in odds], dtype=torch.float64)
            self.grad_hidden = torch.tensor([[float(-s), float(-s), float(s * mean)] for s in share]).double()
            columns = self.hidden_states.double().T.tolist()
            at_target = [-mpmath.fsum(map(mpmath.fmul, share, column)) for column in columns]
            self.grad_target_row = torch.tensor([float(x) for x in at_target], dtype=torch.float64)

    def to(self, device: torch.device) -> EasyTokens:
        """Move every tensor to the device."""
        for name, value in vars(self).items():
            if isinstance(value, torch.Tensor):
                setattr(self, name, value.to(device))
        self.head = self.head._replace(weight=self.head.weight.to(device))
        return self


def relative(ours: torch.Tensor, truth: torch.Tensor) -> float:
    return ((ours.double() - truth) / truth).abs().max().item()
