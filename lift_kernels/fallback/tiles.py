"""How the transposed logits (V, N) are cut into tiles that fit the workspace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from lift_kernels.linear_head import gradient_dtype, statistics_dtype

# A CPU tile of about this many logits stays in the second-level caches between the passes over it: larger tiles pay
# for each element-wise pass in memory traffic, smaller ones starve the matrix products. Nor shall the widened rows of
# the head outgrow 8 MiB, which are all of the scratch memory that grows with the width.
_CPU_TILE_ELEMENTS = 1 << 20
_CPU_HEAD_ELEMENTS = 1 << 21
_CPU_MIN_COLUMNS = 1024
_MIN_ROWS, _MIN_COLUMNS = 16, 128
_ALIGNMENT = 32

_DEFAULT_WORKSPACE_BYTES = {"cpu": 256 << 20}
_DEFAULT_ACCELERATOR_WORKSPACE_BYTES = 1 << 30


@dataclass(frozen=True)
class Tiling:
    """Tiles of `columns` vocabulary entries by `rows` tokens."""

    num_rows: int
    num_columns: int
    rows: int
    columns: int
    keeps_exponentials: bool  # all (V, N) of them fit the workspace at once

    @property
    def is_one_block(self) -> bool:
        """Whether a tile holds every row."""
        return self.rows >= self.num_rows

    def row_blocks(self) -> Iterator[slice]:
        return slices(self.num_rows, self.rows)

    def column_blocks(self) -> Iterator[slice]:
        return slices(self.num_columns, self.columns)


# The logit, its exponential as an operand, the slope of a softcap, a term of the entropy.
_VALUES_PER_LOGIT = 4


def plan_tiles(
    hidden_states: Tensor, weight: Tensor, workspace_bytes: int | None, values_per_logit: int = _VALUES_PER_LOGIT
) -> Tiling:
    """Choose tiles for hidden_states (N, D) and weight (V, D) whose scratch stays within `workspace_bytes`.

    Of each logit in a tile `values_per_logit` values of the statistics dtype are kept at a time.

    Raises:
        ValueError: not even one block of 16 rows and 128 columns fits; the message gives the least value.
    """
    (num_rows, width), num_columns = hidden_states.shape, weight.shape[0]
    on_cpu = hidden_states.device.type == "cpu"
    if workspace_bytes is None:
        workspace_bytes = default_workspace_bytes(hidden_states)
    size, kept_size = (
        dtype.itemsize for dtype in (statistics_dtype(hidden_states.dtype), gradient_dtype(hidden_states.dtype))
    )
    per_logit, per_row, per_column = _bytes_per(values_per_logit, width, size)
    least = least_workspace_bytes(hidden_states, values_per_logit)
    if workspace_bytes < least:
        raise ValueError(
            f"workspace_bytes must be at least {least} for one block with D={width}, got {workspace_bytes}."
        )
    columns = num_columns
    if on_cpu:
        columns = min(_CPU_TILE_ELEMENTS // max(num_rows, 1), _CPU_HEAD_ELEMENTS // max(width, 1))
        columns = max(_CPU_MIN_COLUMNS, columns)
    columns = min(columns, num_columns, max(_MIN_COLUMNS, (workspace_bytes // 2) // per_column))
    columns = min(columns, max(_MIN_COLUMNS, _largest_columns(workspace_bytes, per_logit, per_row, per_column)))
    columns = balanced_columns(num_columns, -(-num_columns // max(columns // _ALIGNMENT * _ALIGNMENT, _ALIGNMENT)))
    rows = (workspace_bytes - columns * per_column) // (columns * per_logit + per_row)
    rows = max(1, min(num_rows, rows))
    kept = num_rows * num_columns * kept_size
    tile = rows * (columns * per_logit + per_row) + columns * per_column
    keeps_exponentials = rows >= num_rows and kept + tile <= workspace_bytes
    return Tiling(num_rows, num_columns, rows, columns, keeps_exponentials)


def least_workspace_bytes(hidden_states: Tensor, values_per_logit: int = _VALUES_PER_LOGIT) -> int:
    """Return the least workspace that `plan_tiles` has tiles for: one block of 16 rows and 128 columns."""
    width, size = hidden_states.shape[1], statistics_dtype(hidden_states.dtype).itemsize
    per_logit, per_row, per_column = _bytes_per(values_per_logit, width, size)
    return _MIN_ROWS * (_MIN_COLUMNS * per_logit + per_row) + _MIN_COLUMNS * per_column


def default_workspace_bytes(like: Tensor) -> int:
    """Return the scratch memory that suits the device of `like`."""
    return _DEFAULT_WORKSPACE_BYTES.get(like.device.type, _DEFAULT_ACCELERATOR_WORKSPACE_BYTES)


def balanced_columns(num_columns: int, num_tiles: int) -> int:
    """The columns of each of `num_tiles` tiles of about the same size, the last one's possibly fewer.

    A function of the two alone, so that tiles can be found again by their number: the result cuts `num_columns` into
    `num_tiles` tiles wherever some multiple of 32 does.
    """
    return -(-num_columns // (num_tiles * _ALIGNMENT)) * _ALIGNMENT


def slices(length: int, step: int) -> Iterator[slice]:
    """Cut `length` into slices of `step`; nothing is one empty slice, so that empty results get their shapes."""
    return (slice(start, min(start + step, length)) for start in range(0, max(length, 1), step))


def _bytes_per(values_per_logit: int, width: int, size: int) -> tuple[int, int, int]:
    """Return the bytes that a logit, a row and a column of a tile take."""
    # A widened hidden state, its gradient, one partial product, the head's row of its target.
    per_row = 4 * width * size
    # A widened row of the head, and its gradient when rows come in several blocks.
    per_column = 2 * width * size
    return values_per_logit * size, per_row, per_column


def _largest_columns(workspace_bytes: int, per_logit: int, per_row: int, per_column: int) -> int:
    """The widest tile that leaves room for `_MIN_ROWS` rows."""
    return (workspace_bytes - _MIN_ROWS * per_row) // (_MIN_ROWS * per_logit + per_column)
