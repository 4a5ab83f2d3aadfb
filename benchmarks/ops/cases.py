"""The one table of cases: the shapes that are timed, with where they come from, by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

# Loss and gradients with a frozen head or a trained one; or the statistics pass.
Kind = Literal["frozen", "trained", "stats"]
Suite = Literal["smoke", "cpu", "gpu"]
KINDS: tuple[Kind, ...] = ("frozen", "trained", "stats")
Inputs = tuple[Tensor, Tensor, Tensor]  # hidden_states (N, D), weight (V, D), targets (N,)


@dataclass(frozen=True)
class Case:
    """N tokens of width D before a head of V rows, a share of the targets ignored."""

    name: str
    kind: Kind
    suite: Suite
    num_tokens: int
    width: int
    vocab_size: int
    ignored: float = 0.0
    compiles: bool = False  # torch.compile takes its seconds for this shape
    dtype: torch.dtype = torch.bfloat16

    @property
    def is_statistics(self) -> bool:
        return self.kind == "stats"

    @property
    def trains_head(self) -> bool:
        return self.kind == "trained"

    @property
    def op(self) -> str:
        return "linear_token_stats" if self.is_statistics else "linear_cross_entropy"

    @property
    def num_targets(self) -> int:
        return self.num_tokens - round(self.ignored * self.num_tokens)

    @property
    def num_products(self) -> int:
        return {"stats": 1, "frozen": 2, "trained": 3}[self.kind]

    @property
    def flops(self) -> int:
        """Of the products of the rows that are not ignored."""
        return 2 * self.num_products * self.num_targets * self.width * self.vocab_size

    def inputs(self, device: torch.device | str = "cpu") -> Inputs:
        """Return hidden_states (N, D), weight (V, D), targets (N,): the same each time; what is trained requires grad.

        Logits have a deviation of about 1. Ignored targets are -100.
        """
        generator = torch.Generator(device).manual_seed(0)
        hidden_states = torch.randn(self.num_tokens, self.width, generator=generator, device=device).to(self.dtype)
        weight = torch.randn(self.vocab_size, self.width, generator=generator, device=device) / self.width**0.5
        targets = torch.randint(self.vocab_size, (self.num_tokens,), generator=generator, device=device)
        shuffled = torch.randperm(self.num_tokens, generator=generator, device=device)
        targets[shuffled[: self.num_tokens - self.num_targets]] = -100
        return hidden_states.requires_grad_(), weight.to(self.dtype).requires_grad_(self.trains_head), targets


def cases_of(suite: Suite) -> dict[str, Case]:
    """Return the cases of a suite by name, the most important first."""
    return {name: case for name, case in CASES.items() if case.suite == suite}


@dataclass(frozen=True)
class _Shape:
    suite: Suite
    num_tokens: int
    width: int
    vocab_size: int
    ignored: float = 0.0
    compiles: bool = False


# D and V from the configurations of GSAI-ML/LLaDA-8B-Base and Dream-org/Dream-v0-Base-7B.
_MODELS = {"llada-8b": (4096, 126464), "dream-7b": (3584, 152064)}
# Masked rows of a training step, from one short response to a batch of long ones.
_ROWS = (1024, 2048, 512, 256, 8192)
_SEQUENCE_TOKENS, _SEQUENCE_IGNORED = 4096, 0.6


def _shapes() -> dict[str, _Shape]:
    shapes = {
        "smoke": _Shape("smoke", 8, 16, 40, compiles=True),
        "smoke-sequence": _Shape("smoke", 10, 16, 40, _SEQUENCE_IGNORED, compiles=True),
        # A quarter of the targets ignored, a vocabulary of GPT-2's order: a fraction of a second on two cores.
        "cpu-32k": _Shape("cpu", 512, 1024, 32768, 0.25),
        # LLaDA-8B's vocabulary at half its width, so that a CPU finishes.
        "cpu-llada-vocab": _Shape("cpu", 512, 2048, 126464, 0.25),
    }
    for model, (width, vocab_size) in _MODELS.items():
        shapes[f"{model}-4096"] = _Shape("gpu", 4096, width, vocab_size, compiles=True)
        # A sequence whose masked share is what the head must see: other rows are dropped by us, computed by the rest.
        shapes[f"{model}-sequence"] = _Shape(
            "gpu", _SEQUENCE_TOKENS, width, vocab_size, _SEQUENCE_IGNORED, compiles=model == "llada-8b"
        )
        for rows in _ROWS:
            shapes[f"{model}-{rows}"] = _Shape("gpu", rows, width, vocab_size)
    return shapes


CASES: dict[str, Case] = {
    f"{name}-{kind}": Case(f"{name}-{kind}", kind, **vars(shape)) for name, shape in _shapes().items() for kind in KINDS
}
