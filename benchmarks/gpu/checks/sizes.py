"""Shapes of the accuracy matrix: those of real models and those that are hard, or tiny ones."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.gpu.checks.op_calls import Shape


@dataclass(frozen=True)
class Sizes:
    """Shapes (N, D, V), small for a smoke test."""

    ragged: tuple[Shape, ...] = ((37, 33, 507), (130, 64, 1100))
    first: tuple[Shape, ...] = ((37, 33, 507), (130, 64, 1100), (256, 4096, 126464))  # what a run looks at first
    # Rows in several chunks of at least 256, with the bytes that hold one of them.
    chunked: Shape = (700, 64, 1100)
    chunk_bytes: int = 3_000_000
    # Vocabularies of GPT-2, LLaDA, Qwen2.5 and Dream before widths of real models.
    real: tuple[Shape, ...] = (
        (129, 4096, 126464), (129, 3584, 152064), (129, 1024, 50257), (129, 1024, 151936), (129, 1024, 1100),
    )  # fmt: skip
    one: Shape = (130, 64, 1100)
    one_of_llada_s_width: Shape = (130, 4096, 1100)  # what tensor cores truncate shows at sums as long as a real head's
    block: int = 128  # rows of a block of the kernels: some checks take one more and one less
    wide: Shape = (129, 1024, 50257)
    beyond_int32: Shape = (20000, 64, 126464)
    memory: Shape = (4096, 4096, 126464)
    rows: tuple[int, int, int, int] = (5, 60, 64, 1100)  # B, L, D, V
    tokens: tuple[int, int] = (7, 1000)
    repeats: int = 20

    @classmethod
    def smoke(cls) -> Sizes:
        tiny = (5, 16, 40)
        return cls(
            ragged=(tiny,), first=(tiny, (3, 8, 17), (9, 16, 72)), chunked=(7, 16, 40), real=((5, 16, 42),), one=tiny,
            one_of_llada_s_width=(5, 32, 40), block=4, wide=(5, 16, 41), beyond_int32=tiny, memory=tiny,
            rows=(3, 5, 16, 40), tokens=(3, 8), repeats=2,
        )  # fmt: skip
