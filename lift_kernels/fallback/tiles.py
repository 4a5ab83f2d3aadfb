"""How the (N, V) logits are cut into tiles that fit the workspace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

# A CPU tile of about this many logits stays in the second-level caches between the passes over it; measured with
# `python -m benchmarks.ops`: larger tiles pay for each element-wise pass in memory traffic, smaller ones starve the
# matrix products.
_CPU_TILE_ELEMENTS = 1 << 20
_CPU_MIN_COLUMNS = 1024
_MIN_ROWS, _MIN_COLUMNS = 16, 128

_DEFAULT_WORKSPACE_BYTES = {"cpu": 256 << 20}
_DEFAULT_ACCELERATOR_WORKSPACE_BYTES = 1 << 30


@dataclass(frozen=True)
class Tiling:
    """Tiles of `rows` x `columns` logits; `keeps_logits` if all (N, V) of them fit the workspace at once."""

    num_rows: int
    num_columns: int
    rows: int
    columns: int
    keeps_logits: bool

    def row_blocks(self) -> Iterator[slice]:
        return _slices(self.num_rows, self.rows)

    def column_blocks(self) -> Iterator[slice]:
        return _slices(self.num_columns, self.columns)


def plan_tiles(hidden_states: Tensor, weight: Tensor, workspace_bytes: int | None) -> Tiling:
    """Choose tiles for hidden_states (N, D) and weight (V, D) whose scratch stays within `workspace_bytes`.

    Raises:
        ValueError: not even one block of 16 rows and 128 columns fits; the message gives the least value.
    """
    (num_rows, width), num_columns = hidden_states.shape, weight.shape[0]
    on_cpu = hidden_states.device.type == "cpu"
    if workspace_bytes is None:
        workspace_bytes = _DEFAULT_WORKSPACE_BYTES.get(hidden_states.device.type, _DEFAULT_ACCELERATOR_WORKSPACE_BYTES)
    size = 8 if hidden_states.dtype == torch.float64 else 4
    per_logit = 3 * size  # the logit, its exponential or gradient, and that as an operand
    per_row = 3 * width * size  # a widened hidden state, its gradient in float32, one partial product
    per_column = 2 * width * size  # a widened row of the head, and its gradient when rows come in several blocks

    least = _MIN_ROWS * (_MIN_COLUMNS * per_logit + per_row) + _MIN_COLUMNS * per_column
    if workspace_bytes < least:
        raise ValueError(
            f"workspace_bytes must be at least {least} for one block with D={width}, got {workspace_bytes}."
        )
    columns = num_columns
    if on_cpu:
        columns = max(_CPU_MIN_COLUMNS, _CPU_TILE_ELEMENTS // max(num_rows, 1))
    columns = min(columns, num_columns, max(_MIN_COLUMNS, (workspace_bytes // 2) // per_column))
    columns = min(columns, max(_MIN_COLUMNS, _largest_columns(workspace_bytes, per_logit, per_row, per_column)))
    columns = max(1, min(columns, num_columns))
    rows = (workspace_bytes - columns * per_column) // (columns * per_logit + per_row)
    rows = max(1, min(num_rows, rows))
    all_logits = num_rows * num_columns * size
    tile = rows * (columns * per_logit + per_row) + columns * per_column
    keeps_logits = rows == num_rows and all_logits + tile <= workspace_bytes
    return Tiling(num_rows, num_columns, rows, columns, keeps_logits)


def _largest_columns(workspace_bytes: int, per_logit: int, per_row: int, per_column: int) -> int:
    """The widest tile that leaves room for `_MIN_ROWS` rows."""
    return (workspace_bytes - _MIN_ROWS * per_row) // (_MIN_ROWS * per_logit + per_column)


def _slices(length: int, step: int) -> Iterator[slice]:
    return (slice(start, min(start + step, length)) for start in range(0, length, step))
