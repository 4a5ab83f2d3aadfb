"""Random inputs of the linear-head ops, the same in every dtype but for rounding."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)


@dataclass(frozen=True)
class Head:
    """Inputs of a head with logits of deviation about 1.

    hidden_states (N, D), weight (V, D) and bias (V,) of one dtype; targets (N,) int64, -100 where ignored;
    token_weight (N,) float32 (float64 after `double`), log-uniform in 1e-3 .. 1e3.
    """

    hidden_states: Tensor
    weight: Tensor
    bias: Tensor
    targets: Tensor
    token_weight: Tensor

    @classmethod
    def random(
        cls, n: int, d: int, v: int, dtype: torch.dtype = torch.float32, *, ignored: float = 0.25, seed: int = 0
    ) -> Head:
        """Draw N tokens, width D and V vocabulary entries on the CPU; a share `ignored` of the targets is -100."""
        g = torch.Generator().manual_seed(seed)
        targets = torch.randint(v, (n,), generator=g)
        targets[torch.rand(n, generator=g) < ignored] = -100
        return cls(
            hidden_states=torch.randn(n, d, generator=g).to(dtype),
            weight=(torch.randn(v, d, generator=g) / d**0.5).to(dtype),
            bias=torch.randn(v, generator=g).to(dtype),
            targets=targets,
            token_weight=10 ** torch.empty(n).uniform_(-3, 3, generator=g),
        )

    def double(self) -> Head:
        """Return the same rounded values in float64."""
        return replace(
            self,
            hidden_states=self.hidden_states.double(),
            weight=self.weight.double(),
            bias=self.bias.double(),
            token_weight=self.token_weight.double(),
        )

    def to(self, device: torch.device) -> Head:
        """Return it on `device`."""
        return Head(*(getattr(self, field.name).to(device) for field in fields(self)))

    def trainable(self, *names: str) -> Head:
        """Return it with fresh leaves for hidden_states, weight and bias; those named require grad."""
        leaves = {
            name: getattr(self, name).detach().clone().requires_grad_(name in names)
            for name in ("hidden_states", "weight", "bias")
        }
        return replace(self, **leaves)

    def grads(self, *names: str) -> list[Tensor]:
        """Return the `.grad` of the leaves named."""
        return [getattr(self, name).grad for name in names]
