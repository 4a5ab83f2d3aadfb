"""The shapes that are measured: LLaDA-8B's head first, or tiny ones."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

MIB = 1 << 20
# Float32 logits of one piece: from few enough to be launch-bound to more than a second-level cache of 50 MB holds.
_LEAST_PIECE, _MOST_PIECE = 12 * MIB, 64 * MIB
_COLUMNS = (
    512, 768, 1024, 1280, 1536, 2048, 2304, 2560, 2816, 3072, 3584, 4096, 4608, 5120, 6144, 8192, 11264, 16384, 24576,
    32768, 49152,
)  # fmt: skip


@dataclass(frozen=True)
class Shape:
    """N rows of width D before a head of V rows."""

    n: int
    d: int
    v: int

    def facts(self, **more: object) -> dict[str, object]:
        return {"N": self.n, "D": self.d, "V": self.v, "dtype": "bfloat16", **more}

    def inputs(self, device: torch.device, *, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
        """Return bfloat16 hidden states (N, D) and weight (V, D), logits of deviation 1, and targets (N,)."""
        generator = torch.Generator(device).manual_seed(seed)
        hidden_states = torch.randn(self.n, self.d, generator=generator, device=device).bfloat16()
        weight = (torch.randn(self.v, self.d, generator=generator, device=device) / self.d**0.5).bfloat16()
        targets = torch.randint(self.v, (self.n,), generator=generator, device=device)
        return hidden_states, weight, targets


@dataclass(frozen=True)
class MeasuredShapes:
    """Everything that a run measures.

    Attributes:
        heads: name -> (D, V); the first is what single parts are measured with.
        rows: numbers of rows, the most telling first: those of 128 rows' multiples, and real counts of masked tokens.
        row_kernel: (rows, columns) of one launch.
        backward_rows, rival_rows, mode_rows: as `rows`.
    """

    heads: dict[str, tuple[int, int]]
    rows: tuple[int, ...]
    row_kernel: tuple[tuple[int, int], ...]
    backward_rows: tuple[int, ...]
    rival_rows: tuple[int, ...]
    mode_rows: int
    row_counts: int  # of the allocator's test
    pieces: tuple[int, ...] | None = None  # columns; None for what `columns_of` says

    @classmethod
    def real(cls) -> MeasuredShapes:
        # D and V from the configurations of GSAI-ML/LLaDA-8B-Base and Dream-org/Dream-v0-Base-7B.
        return cls(
            heads={"llada-8b": (4096, 126464), "dream-7b": (3584, 152064)},
            rows=(4096, 1024, 2176, 3300, 2600, 8192, 5000, 256, 2048, 512),
            row_kernel=(
                (4096, 2048), (4096, 3072), (2600, 4608), (3300, 3584), (2176, 5120), (1024, 8192), (256, 32768),
            ),
            backward_rows=(4096, 1024, 256, 2600, 8192), rival_rows=(4096, 1024, 8192, 2600), mode_rows=4096,
            row_counts=60,
        )  # fmt: skip

    @classmethod
    def smoke(cls) -> MeasuredShapes:
        return cls(
            heads={"llada-8b": (16, 72)}, rows=(8, 5), row_kernel=((4, 32),), backward_rows=(8,), rival_rows=(8,),
            mode_rows=8, row_counts=3, pieces=(16, 24),
        )  # fmt: skip

    @property
    def head(self) -> tuple[int, int]:
        return next(iter(self.heads.values()))

    def shape(self, rows: int) -> Shape:
        return Shape(rows, *self.head)

    def columns_of(self, rows: int) -> tuple[int, ...]:
        """Columns of the pieces that are tried for `rows` rows."""
        if self.pieces is not None:
            return self.pieces
        return tuple(c for c in _COLUMNS if _LEAST_PIECE <= 4 * rows * c <= _MOST_PIECE)
