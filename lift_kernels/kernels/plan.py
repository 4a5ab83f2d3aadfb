"""How the logits are cut into pieces that fit the workspace: pure arithmetic on sizes known on the host."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

DEFAULT_WORKSPACE_BYTES = 1 << 30

# Fewer rows at a time than this, and reading the head costs a GPU more than multiplying by it.
_USEFUL_ROWS = 256
_USEFUL_COLUMNS = 2048
# Logits of one launch stay in the second-level cache (40 MB on an A100, 50 MB on an H100) until they are read back;
# heads narrower than this width get more of them, so that a product still outlasts its launch.
_CACHED_BYTES, _CACHED_WIDTH = 32 << 20, 4096
_ROW_MULTIPLE, _COLUMN_MULTIPLE = 128, 2048  # of columns: a block of the row kernel, so that none is half empty
_ALIGNED_ELEMENTS = 64  # rows of the workspace start at multiples of this: 128 bytes of bfloat16


@dataclass(frozen=True)
class Plan:
    """Rows are taken `rows` at a time, and of their logits `columns` at a time.

    The scratch is a buffer of `buffer_size` float32, for those logits and later for what the gradients' products need
    beside them, and for gradients (rows, row_stride) exponentials.
    """

    num_rows: int
    num_columns: int
    rows: int
    columns: int
    buffer_size: int

    @property
    def is_one_chunk(self) -> bool:
        return self.rows >= self.num_rows

    @property
    def row_stride(self) -> int:
        """Elements from one row of (rows, V) to the next."""
        return _round_up(self.num_columns, _ALIGNED_ELEMENTS)

    def row_chunks(self) -> Iterator[slice]:
        return slices(self.num_rows, self.rows)

    def column_chunks(self) -> Iterator[slice]:
        return slices(self.num_columns, self.columns)


def plan_statistics(num_rows: int, width: int, num_columns: int, workspace_bytes: int) -> Plan | None:
    """Return the pieces for statistics of (N, V) logits; None if the workspace is too small for useful ones."""
    return _plan(num_rows, width, num_columns, 0, 0, workspace_bytes)


def plan_gradients(num_rows: int, width: int, num_columns: int, element_size: int, workspace_bytes: int) -> Plan | None:
    """Return pieces for gradients too; exponentials and rows of hidden states have elements of `element_size` bytes."""
    exponentials = _round_up(num_columns, _ALIGNED_ELEMENTS) * element_size
    # The buffer also takes the rows of hidden states, scaled, once the logits are done with.
    return _plan(num_rows, width, num_columns, exponentials, -(-width * element_size // 4), workspace_bytes)


def _plan(
    num_rows: int, width: int, num_columns: int, row_bytes: int, least_width: int, workspace_bytes: int
) -> Plan | None:
    least_columns = min(num_columns, _USEFUL_COLUMNS)
    most_rows = workspace_bytes // (row_bytes + 4 * max(least_columns, least_width))
    if most_rows < max(1, min(num_rows, _USEFUL_ROWS)) or workspace_bytes < row_bytes + 4 * width:
        return None
    rows = _balanced(num_rows, most_rows, _ROW_MULTIPLE)
    cached = max(_CACHED_BYTES, _CACHED_BYTES * _CACHED_WIDTH // width)
    most_columns = min(workspace_bytes - rows * row_bytes, cached) // (4 * rows)
    columns = _balanced(num_columns, max(most_columns, least_columns), _COLUMN_MULTIPLE)
    if columns % _COLUMN_MULTIPLE and num_columns > _COLUMN_MULTIPLE:
        # A ragged end is a piece of its own, so that all others are read as vectors.
        columns = columns // _COLUMN_MULTIPLE * _COLUMN_MULTIPLE
    return Plan(num_rows, num_columns, rows, columns, max(rows * max(columns, least_width), width))


def _balanced(length: int, most: int, multiple: int) -> int:
    """The even step of at most `most` that covers `length` in the fewest steps, a multiple where there is room."""
    step = -(-length // max(1, -(-length // most))) or 1
    return min(_round_up(step, multiple), most, max(length, 1))


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def slices(length: int, step: int) -> Iterator[slice]:
    return (slice(start, min(start + step, length)) for start in range(0, length, step))
