"""oneDNN's block product of bfloat16 with a float32 result, on processors with AVX512-BF16 where MKL has none.

No operator of torch gives it on a CPU (`mkl` says why a setting is no way), but the library that torch brings exports
the function that its attention calls for each block, `at::native::cpublas::brgemm`. Its mangled name spells its
arguments, so a release that changes them has no such name; a small product is tried before the first real one.
"""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from lift_kernels.fallback.processor import has_amx, has_avx512_bf16
from lift_kernels.fallback.torch_library import exported, returns

_NAME = "_ZN2at6native7cpublas6brgemmEllllllbPKN3c108BFloat16ES5_Pfb"

# Code is made for each shape and distance of rows, and kept: so columns come in blocks of few widths, and the distance
# in few sizes.
_COLUMNS, _COLUMN_STEP = 64, 16
# A sum in the order of one chain of products is four times further off at a width of 1024 than sums of this many.
_INNER = 256
_LEFT_ELEMENTS, _MAX_ROWS = 1 << 18, 256  # of the left operand: half a MiB, which stays in the second-level cache
_BODY = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_MAX_THREADS = 8  # which wait for the interpreter between calls that are short


def is_available() -> bool:
    """Whether this processor and this torch have the product."""
    return _brgemm() is not None


@dataclass(frozen=True)
class Packed:
    """x (N, D) of bfloat16, D even, as the product reads it."""

    blocks: list[Tensor]
    """(D / 2, 64, 2) each, of as many rows; the last one of fewer, a multiple of 16 filled up with 0."""

    num_rows: int

    @classmethod
    def of(cls, x: Tensor) -> Packed:
        blocks = []
        for rows in x.split(_COLUMNS) if x.shape[0] else ():
            missing = -rows.shape[0] % _COLUMN_STEP
            rows = torch.nn.functional.pad(rows, (0, 0, 0, missing)) if missing else rows
            blocks.append(rows.reshape(rows.shape[0], -1, 2).transpose(0, 1).contiguous())
        return cls(blocks, x.shape[0])


def row_distance(num_rows: int) -> int:
    """The distance, in elements, that the rows of a result for x (num_rows, D) are to have: at least num_rows."""
    step = max(_COLUMNS, 1 << max(num_rows.bit_length() - 4, 0))  # about eight sizes up to twice as many rows
    return max(-(-num_rows // step), 1) * step


def multiply(a: Tensor, packed: Packed, out: Tensor) -> Tensor:
    """out = a @ x.T in float32 throughout, the same to the bit for every number of threads.

    Args:
        a: (M, D) bfloat16.
        packed: of x (N, D).
        out: (M, N) float32, its rows `row_distance(N)` apart; the elements between them are overwritten.
    """
    brgemm = _brgemm()
    assert brgemm is not None and out.stride() == (row_distance(packed.num_rows), 1)
    a = a if a.stride(1) == 1 and a.stride(0) >= a.shape[1] else a.contiguous()
    (num_rows, width), lead_a, lead_out = a.shape, a.stride(0), out.stride(0)
    from_a, to = a.data_ptr(), out.data_ptr()
    blocks = [(number * _COLUMNS, block.shape[1], block.data_ptr()) for number, block in enumerate(packed.blocks)]
    step = max(32, min(_MAX_ROWS, _LEFT_ELEMENTS // max(width, 1) // 32 * 32))
    starts, errors = itertools.count(step=step), []

    def take_part() -> None:
        try:
            while (start := next(starts)) < num_rows:
                for column, columns, from_x in blocks:
                    for inner in range(0, width, _INNER):
                        brgemm(
                            min(step, num_rows - start), columns, min(_INNER, width - inner), lead_a, columns,
                            lead_out, inner > 0, from_a + 2 * (start * lead_a + inner), from_x + 2 * columns * inner,
                            to + 4 * (start * lead_out + column), True,
                        )  # fmt: skip
        except BaseException as error:  # C would print it and go on
            errors.append(error)

    threads = min(torch.get_num_threads(), _MAX_THREADS, -(-num_rows // step))
    if threads > 1 and (parallel := _openmp()) is not None:
        parallel(_BODY(lambda _: take_part()), None, threads, 0)
    else:
        take_part()
    if errors:
        raise errors[0]
    return out


@cache
def _openmp() -> Callable[..., None] | None:
    """Return the function by which compilers run a body in all threads of OpenMP.

    They are torch's own: threads of ours would share the processors with them, as they spin for some milliseconds
    after each of torch's operations.
    """
    return exported("GOMP_parallel", [_BODY, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint])


@cache
def _brgemm() -> Callable[..., None] | None:
    # With AMX, each thread would have to give its tiles back; MKL has the product there.
    if not has_avx512_bf16() or has_amx():
        return None
    size, pointer, flag = ctypes.c_int64, ctypes.c_void_p, ctypes.c_bool
    brgemm = exported(_NAME, [*[size] * 6, flag, pointer, pointer, pointer, flag])
    # It throws where oneDNN was built without it, or ONEDNN_MAX_CPU_ISA forbids the instructions.
    return brgemm if brgemm is not None and returns(_NAME, _TRIAL) and _is_right(brgemm) else None


_TRIAL = f"""
sizes = [ctypes.c_int64(size) for size in (3, {_COLUMNS}, 8, 8, {_COLUMNS}, {_COLUMNS})]
a, x, out = [(ctypes.c_float * 1024)() for _ in range(3)]
function(*sizes, ctypes.c_bool(True), a, x, out, ctypes.c_bool(True))
"""


def _is_right(brgemm: Callable[..., None]) -> bool:
    """Whether it still reads and adds as we expect: small whole numbers, whose product is exact."""
    a, x = (
        torch.arange(count * 8, device="cpu").remainder(7).sub(3).view(count, 8).bfloat16() for count in (3, _COLUMNS)
    )
    out = torch.ones(3, _COLUMNS, dtype=torch.float32, device="cpu")
    (block,) = Packed.of(x).blocks
    brgemm(3, _COLUMNS, 8, 8, _COLUMNS, _COLUMNS, True, a.data_ptr(), block.data_ptr(), out.data_ptr(), True)
    return out.equal(a.float() @ x.float().t() + 1)
