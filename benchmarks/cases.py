"""The shapes that are timed, with where they come from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Case:
    """N tokens of width D before a head of V rows, a share of the targets ignored."""

    name: str
    num_tokens: int
    width: int
    vocab_size: int
    dtype: torch.dtype
    ignored: float
    trains_head: bool

    @property
    def num_targets(self) -> int:
        return self.num_tokens - round(self.ignored * self.num_tokens)

    def inputs(self, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor, Tensor]:
        """hidden_states (N, D), weight (V, D), targets (N,): the same each time; what is trained requires grad."""
        random = {"generator": torch.Generator(device).manual_seed(0), "device": device}
        hidden_states = torch.randn(self.num_tokens, self.width, **random).to(self.dtype)
        weight = (torch.randn(self.vocab_size, self.width, **random) / self.width**0.5).to(self.dtype)
        targets = torch.randint(self.vocab_size, (self.num_tokens,), **random)
        targets[torch.randperm(self.num_tokens, **random)[: self.num_tokens - self.num_targets]] = -100
        return hidden_states.requires_grad_(), weight.requires_grad_(self.trains_head), targets


def _pair(name: str, *shape: int, dtype: torch.dtype = torch.bfloat16, ignored: float = 0.25) -> list[Case]:
    return [
        Case(f"{name}-{'trained' if trains_head else 'frozen'}", *shape, dtype, ignored, trains_head)
        for trains_head in (False, True)
    ]


CASES = {
    case.name: case
    for case in (
        *_pair("smoke", 16, 16, 300),
        # A quarter of the targets ignored, a vocabulary of GPT-2's order: a fraction of a second on two cores.
        *_pair("cpu-32k", 512, 1024, 32768),
        # LLaDA-8B's vocabulary (126464, from its config) at half its width, so that a CPU finishes.
        *_pair("cpu-llada-vocab", 512, 2048, 126464),
    )
}
DEFAULT = ("cpu-32k-frozen", "cpu-32k-trained")
