from __future__ import annotations

import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lift_kernels.kernels.waves import best_columns, num_multiprocessors, wave_entries

PROCESSORS = (108, 132, 148)  # of an A100, an H100 and a B200


@given(
    num_rows=st.integers(0, 9000), width=st.integers(1, 9000), num_columns=st.integers(1, 200_000),
    most=st.integers(0, 60_000), processors=st.sampled_from(PROCESSORS),
)  # fmt: skip
def test_pieces_are_multiples_of_256_where_there_is_room(num_rows, width, num_columns, most, processors):
    columns = best_columns(num_rows, width, num_columns, most, processors)
    assert 1 <= columns <= max(most, 1)
    assert columns == num_columns or columns % 256 == 0 or most < 256


def test_waves_of_tiles_are_counted():
    tile = 128 * 256
    assert wave_entries(2176, 2048, 132) == 2 * tile  # 17 x 8 tiles on 132 multiprocessors
    assert wave_entries(4096, 1024, 132) == tile and wave_entries(1024, 4096, 132) == tile  # 32 x 4, either way round
    assert wave_entries(128, 257, 132) == wave_entries(257, 128, 132) == tile


@pytest.mark.parametrize("processors", PROCESSORS)
@pytest.mark.parametrize(("width", "num_columns"), [(4096, 126464), (3584, 152064)], ids=["llada", "dream"])
def test_few_of_the_last_waves_are_wasted(width, num_columns, processors):
    """Of any number of masked tokens: pieces of 48 MiB that fill no wave would waste up to half."""
    for num_rows in (*range(512, 4097, 61), 1100, 2176, 2600, 3000, 3300):
        most = (48 << 20) // (4 * num_rows)
        columns = best_columns(num_rows, width, num_columns, most, processors)
        count, rest = divmod(num_columns, columns)
        busy = count * wave_entries(num_rows, columns, processors) + wave_entries(num_rows, rest, processors)
        used = num_rows * num_columns / processors
        # Rows are no multiple of a tile either, which no choice of columns helps.
        rows_filled = num_rows / (-(-num_rows // 128) * 128)
        assert used / busy > 0.86 * rows_filled, (num_rows, columns)


def test_the_device_decides():
    chosen = {best_columns(2176, 4096, 126464, (48 << 20) // (4 * 2176), processors) for processors in PROCESSORS}
    assert len(chosen) > 1
    assert num_multiprocessors(torch.device("cpu")) == 132


def test_choosing_takes_no_time_worth_mentioning():
    best_columns.cache_clear()
    start = time.process_time()
    for num_rows in range(1000, 1100):
        best_columns(num_rows, 4096, 126464, 12_000, 132)
    assert (time.process_time() - start) / 100 < 5e-3
