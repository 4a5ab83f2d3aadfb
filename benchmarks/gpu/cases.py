"""The cases that are timed, the most important first."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch

from benchmarks.cases import Case


@dataclass(frozen=True)
class GpuCase(Case):
    """`is_statistics`: the statistics pass instead of loss and gradients."""

    is_statistics: bool = False
    compiles: bool = False  # torch.compile takes its seconds for this shape

    @property
    def kind(self) -> str:
        return "stats" if self.is_statistics else "trained" if self.trains_head else "frozen"

    @property
    def num_products(self) -> int:
        return {"stats": 1, "frozen": 2, "trained": 3}[self.kind]

    @property
    def flops(self) -> int:
        """Of the products of the rows that are not ignored."""
        return 2 * self.num_products * self.num_targets * self.width * self.vocab_size

    @property
    def op(self) -> str:
        return "linear_token_stats" if self.is_statistics else "linear_cross_entropy"


# D and V from the configurations of GSAI-ML/LLaDA-8B-Base and Dream-org/Dream-v0-Base-7B.
MODELS = {"llada-8b": (4096, 126464), "dream-7b": (3584, 152064)}
# Masked rows of a training step, from one short response to a batch of long ones.
ROWS = (4096, 1024, 2048, 512, 256, 8192)
# A sequence whose masked share is what the head must see: the other rows are dropped by us and computed by the others.
SEQUENCE_TOKENS, SEQUENCE_IGNORED = 4096, 0.6
# A compilation takes seconds, so only the cases that are looked at first get one.
_COMPILED = ("llada-8b-4096", "llada-8b-sequence", "dream-7b-4096", "smoke", "smoke-sequence")


def gpu_cases(*, is_smoke: bool) -> dict[str, GpuCase]:
    if is_smoke:
        shapes = [("smoke", 8, 16, 40, 0.0), ("smoke-sequence", 10, 16, 40, SEQUENCE_IGNORED)]
    else:
        shapes = []
        for model, (width, vocab_size) in MODELS.items():
            of_rows = [(f"{model}-{rows}", rows, width, vocab_size, 0.0) for rows in ROWS]
            sequence = (f"{model}-sequence", SEQUENCE_TOKENS, width, vocab_size, SEQUENCE_IGNORED)
            shapes += [of_rows[0], sequence, *of_rows[1:]]
    cases = [
        GpuCase(
            f"{name}-{kind}", num_tokens, width, vocab_size, torch.bfloat16, ignored, trains_head=kind == "trained",
            is_statistics=kind == "stats", compiles=name in _COMPILED,
        )
        for (name, num_tokens, width, vocab_size, ignored), kind in itertools.product(
            shapes, ("frozen", "trained", "stats")
        )
    ]  # fmt: skip
    return {case.name: case for case in cases}
