"""How the logits are cut into pieces that fit the workspace: pure arithmetic on sizes known on the host."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lift_kernels.kernels.waves import best_columns

DEFAULT_WORKSPACE_BYTES = 1 << 30

# Reading the head bounds the time of so few rows; logits that never leave the chip then save the only other traffic.
FEW_ROWS = 64
# Fewer rows at a time than this, and reading the head costs a GPU more than multiplying by it.
_USEFUL_ROWS = 256
_USEFUL_COLUMNS = 2048
# Logits of one launch stay in the second-level cache (40 MB on an A100, 50 MB on an H100) in good part until they are
# read back; heads narrower than this width get more of them, so that a product still outlasts its launch.
_CACHED_BYTES, _CACHED_WIDTH = 48 << 20, 4096
_ROW_MULTIPLE = 128
_ALIGNED_ELEMENTS = 64  # rows of the workspace start at multiples of this: 128 bytes of bfloat16
# cuBLAS' fast kernels need extents that are multiples of 16 bytes. Smaller vocabularies cost less than another launch.
_FAST_MULTIPLE, _LEAST_SPLIT = 8, 256
_PROCESSORS = 132  # of an H100


@dataclass(frozen=True)
class Plan:
    """Rows are taken `rows` at a time, and of their logits `columns` at a time.

    The scratch is a buffer of `buffer_size` float32, for those logits and later for what the gradients' products need
    beside them, and for gradients (rows, row_stride) exponentials. It is within the workspace but for exponentials that
    are `apart`: those outlive the call, in the place of the gradient that will be formed from them.
    """

    num_rows: int
    width: int
    num_columns: int
    rows: int
    columns: int
    buffer_size: int
    exponentials_apart: bool = False

    @property
    def is_one_chunk(self) -> bool:
        return self.rows >= self.num_rows

    @property
    def num_chunks(self) -> int:
        return -(-self.num_rows // self.rows)

    @property
    def row_stride(self) -> int:
        """Elements from one row of (rows, V) to the next."""
        return row_stride(self.num_columns)

    @property
    def hidden_rows(self) -> int:
        """Rows of the hidden states' gradient at a time: all of a chunk's where the buffer holds them in float32."""
        return _balanced(self.rows, self.buffer_size // self.width, _ROW_MULTIPLE)

    def row_chunks(self) -> Iterator[slice]:
        return slices(self.num_rows, self.rows)

    def column_chunks(self) -> Iterator[slice]:
        """Pieces of the vocabulary; what `even_columns` leaves out is the last."""
        return column_pieces(self.num_columns, self.columns)


def plan_statistics(
    num_rows: int, width: int, num_columns: int, workspace_bytes: int, num_processors: int = _PROCESSORS
) -> Plan | None:
    """Return the pieces for statistics of (N, V) logits; None if the workspace is too small for useful ones."""
    return _plan(num_rows, width, num_columns, workspace_bytes, num_processors)


def least_statistics_bytes(width: int, num_columns: int) -> int:
    """Return the least workspace that `plan_statistics` has a plan for: of one row."""
    least = max(4 * min(num_columns, _USEFUL_COLUMNS), 4 * width)
    return least + (_last_rows_bytes(width) if even_columns(num_columns) < num_columns else 0)


def plan_gradients(
    num_rows: int,
    width: int,
    num_columns: int,
    element_size: int,
    workspace_bytes: int,
    num_processors: int = _PROCESSORS,
    exponential_bytes: int | None = None,
) -> Plan | None:
    """Return pieces for gradients too; exponentials and rows of hidden states have elements of `element_size` bytes.

    With `exponential_bytes` the exponentials take at most that many beside the workspace.
    """
    return _plan(
        num_rows, width, num_columns, workspace_bytes, num_processors,
        row_bytes=row_stride(num_columns) * element_size,
        # The buffer also takes the rows of hidden states, scaled, once the logits are done with.
        least_width=-(-width * element_size // 4),
        apart_bytes=exponential_bytes,
    )  # fmt: skip


def _plan(
    num_rows: int,
    width: int,
    num_columns: int,
    workspace_bytes: int,
    num_processors: int,
    *,
    row_bytes: int = 0,
    least_width: int = 0,
    apart_bytes: int | None = None,
) -> Plan | None:
    even = even_columns(num_columns)
    if even < num_columns:
        workspace_bytes -= _last_rows_bytes(width)
    least_columns = min(num_columns, _USEFUL_COLUMNS)
    inside_bytes = row_bytes if apart_bytes is None else 0
    most_rows = workspace_bytes // (inside_bytes + 4 * max(least_columns, least_width))
    if apart_bytes is not None:
        most_rows = min(most_rows, apart_bytes // max(row_bytes, 1))
    cached = max(_CACHED_BYTES, _CACHED_BYTES * _CACHED_WIDTH // width) // 4
    if not row_bytes:  # without sums over rows another chunk costs no more than reading the head again
        most_rows = min(most_rows, max(cached // least_columns, _USEFUL_ROWS))
    if most_rows < max(1, min(num_rows, _USEFUL_ROWS)) or workspace_bytes < inside_bytes + 4 * width:
        return None
    rows = _balanced(num_rows, most_rows, _ROW_MULTIPLE)
    room = (workspace_bytes - rows * inside_bytes) // 4
    most_columns = max(min(room, cached) // rows, least_columns)
    columns = best_columns(rows, width, even, most_columns, num_processors)
    # Room for a float32 row of each hidden state, where there is any, makes their gradient one product.
    buffer_size = max(rows * max(columns, least_width), width, min(rows * width, room) if row_bytes else 0)
    return Plan(num_rows, width, num_columns, rows, columns, buffer_size, apart_bytes is not None)


def _last_rows_bytes(width: int) -> int:
    """A copy of the head's last rows, and their gradient."""
    return 8 * _ALIGNED_ELEMENTS * width


def even_columns(num_columns: int) -> int:
    """Return how many columns from the first on keep to cuBLAS' fast kernels; the rest, below 64, are a product apart.

    They are all columns where their number is even enough. In its sums over V and for outputs (N, V) cuBLAS falls back
    to kernels without vector loads where V is odd, as GPT-2's 50257.
    """
    if num_columns % _FAST_MULTIPLE == 0 or num_columns < _LEAST_SPLIT:
        return num_columns
    return num_columns // _ALIGNED_ELEMENTS * _ALIGNED_ELEMENTS


def row_stride(num_columns: int) -> int:
    """Elements from one row of (N, V) to the next: V, rounded up so that each row is aligned."""
    return _round_up(num_columns, _ALIGNED_ELEMENTS)


def column_pieces(num_columns: int, step: int) -> Iterator[slice]:
    """Cut columns into pieces of `step`; those that `even_columns` leaves out are the last piece."""
    even = even_columns(num_columns)
    yield from slices(even, step)
    if even < num_columns:
        yield slice(even, num_columns)


def _balanced(length: int, most: int, multiple: int) -> int:
    """The even step of at most `most` that covers `length` in the fewest steps, a multiple where there is room."""
    step = -(-length // max(1, -(-length // most))) or 1
    return min(_round_up(step, multiple), most, max(length, 1))


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def slices(length: int, step: int) -> Iterator[slice]:
    return (slice(start, min(start + step, length)) for start in range(0, length, step))
