"""What is timed: a model's head, tokens, the share of them that is masked, and what is computed of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Literal, NamedTuple

import torch
from torch import Tensor

# Statistics without gradient; loss and gradients; LIFT's objective and gradients, scores and selection included; a
# token drawn at each masked position, at temperature 1 and without gradient.
Work = Literal["statistics", "loss", "lift", "sampling"]
Head = Literal["frozen", "trained"]
WORKS: tuple[Work, ...] = ("statistics", "loss", "lift", "sampling")
WITHOUT_GRADIENT: tuple[Work, ...] = ("statistics", "sampling")
HEADS: tuple[Head, ...] = ("frozen", "trained")
DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}

# (D, V) of the configurations that the models are published with, and two that a CPU finishes.
MODELS: dict[str, tuple[int, int]] = {
    "llada-8b": (4096, 126464),  # GSAI-ML/LLaDA-8B-Base
    "dream-7b": (3584, 152064),  # Dream-org/Dream-v0-Base-7B
    "llada2-mini": (2048, 157184),  # inclusionAI/LLaDA2.0-mini
    "modernbert-base": (768, 50368),  # answerdotai/ModernBERT-base
    "minilm": (384, 30522),  # sentence-transformers/all-MiniLM-L6-v2
    "bert-base": (768, 30522),  # google-bert/bert-base-uncased
    "xlm-roberta-base": (768, 250002),  # FacebookAI/xlm-roberta-base
    "32k": (1024, 32768),  # a vocabulary of Llama 2's order
    "llada-vocab": (2048, 126464),  # LLaDA-8B's vocabulary at half its width
    "smoke": (16, 40),
}
# LIFT's rows of one batch: the diffusion time of each, and which of its masked tokens are kept (`select_tokens`).
_TIMESTEPS, _ORDERS, _KEPT_SHARE, SEED = (0.8, 0.5, 0.2, 0.4), (1, 0, -1, 0), 2 / 3, 7


class Inputs(NamedTuple):
    hidden_states: Tensor  # (N, D), requires grad
    weight: Tensor  # (V, D), requires grad where the head is trained
    targets: Tensor  # (N,) int64, -100 where the token is not masked


def target_rows(inputs: Inputs) -> Tensor:
    """Return the indices (M,) of the tokens with a target. A collator knows them: finding them is not timed."""
    return (inputs.targets != -100).nonzero()[:, 0]


class LiftRows(NamedTuple):
    """The N tokens as B rows of L, and what LIFT does with each."""

    timestep: Tensor  # (B,)
    num_keep: Tensor  # (B,) int64
    order: Tensor  # (B,) int64


@dataclass(frozen=True)
class Case:
    """`num_tokens` tokens before a model's head, a share `masked` of which has a target."""

    model: str
    num_tokens: int
    masked: float
    work: Work
    head: Head = "frozen"
    dtype_name: str = "bfloat16"

    @property
    def name(self) -> str:
        return f"{self.model}-{self.num_tokens}-{self.masked:g}-{self.work}-{self.head}-{self.dtype_name}"

    @classmethod
    def of_name(cls, name: str) -> Case:
        """Return the case that has this `name`."""
        for model in MODELS:
            if name.startswith(f"{model}-") and name.removeprefix(f"{model}-")[0].isdigit():
                tokens, masked, *more = name.removeprefix(f"{model}-").split("-")
                return cls(model, int(tokens), float(masked), *more)  # type: ignore[arg-type]
        raise ValueError(f"no case is named {name!r}")

    @property
    def dtype(self) -> torch.dtype:
        return DTYPES[self.dtype_name]

    @property
    def width(self) -> int:
        return MODELS[self.model][0]

    @property
    def vocab_size(self) -> int:
        return MODELS[self.model][1]

    @property
    def num_rows(self) -> int:
        return len(_TIMESTEPS)

    @property
    def num_targets(self) -> int:
        return self.num_rows * round(self.masked * self.num_tokens / self.num_rows)

    @property
    def num_trained(self) -> int:
        """Tokens that the gradients come from."""
        return self.num_rows * self._kept_of_a_row if self.work == "lift" else self.num_targets

    @property
    def _kept_of_a_row(self) -> int:
        return max(1, round(_KEPT_SHARE * self.num_targets / self.num_rows))

    @property
    def trained_leaves(self) -> tuple[str, ...]:
        if self.work in WITHOUT_GRADIENT:
            return ()
        return ("hidden_states", "weight") if self.head == "trained" else ("hidden_states",)

    @property
    def flops(self) -> int:
        """Of the products that no implementation does without: those of the rows that count, each computed once."""
        rows = self.num_targets + len(self.trained_leaves) * self.num_trained
        return 2 * rows * self.width * self.vocab_size

    def inputs(self, device: torch.device | str = "cpu") -> Inputs:
        """Return the same inputs each time. Logits have a deviation of about 1; each row masks as many tokens."""
        generator = torch.Generator(device).manual_seed(0)
        hidden_states = torch.randn(self.num_tokens, self.width, generator=generator, device=device)
        weight = torch.randn(self.vocab_size, self.width, generator=generator, device=device) / self.width**0.5
        targets = torch.randint(self.vocab_size, (self.num_tokens,), generator=generator, device=device)
        for row in targets.view(self.num_rows, -1):
            shuffled = torch.randperm(row.numel(), generator=generator, device=device)
            row[shuffled[self.num_targets // self.num_rows :]] = -100
        return Inputs(
            hidden_states.to(self.dtype).requires_grad_("hidden_states" in self.trained_leaves),
            weight.to(self.dtype).requires_grad_("weight" in self.trained_leaves),
            targets,
        )

    def lift_rows(self, device: torch.device | str = "cpu") -> LiftRows:
        return LiftRows(
            torch.tensor(_TIMESTEPS, device=device),
            torch.full((self.num_rows,), self._kept_of_a_row, device=device),
            torch.tensor(_ORDERS, device=device),
        )


def cases(
    models: Iterable[str], tokens: Iterable[int], masked: Iterable[float], works: Iterable[Work], heads: Iterable[Head],
    dtypes: Iterable[str] = ("bfloat16",),
) -> Iterator[Case]:  # fmt: skip
    """Yield every combination; what takes no gradient has no head to train."""
    for model, num_tokens, share, work, head, dtype in product(models, tokens, masked, works, heads, dtypes):
        if work not in WITHOUT_GRADIENT or head == "frozen":
            yield Case(model, num_tokens, share, work, head, dtype)
