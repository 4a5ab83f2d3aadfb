"""Tiles of logits that fit the workspace."""

from __future__ import annotations

import pytest
import torch

from lift_kernels.fallback.tiles import balanced_columns, plan_tiles, slices


@pytest.mark.parametrize("num_columns", [1, 31, 32, 33, 507, 30522, 50257, 126464])
def test_tiles_are_found_again_by_their_number(num_columns):
    for width in (32, 128, 1024, 2048, 4096):
        columns = balanced_columns(num_columns, -(-num_columns // width))
        tiles = list(slices(num_columns, columns))
        assert columns % 32 == 0 and columns <= width
        assert columns == balanced_columns(num_columns, len(tiles))
        assert [i for tile in tiles for i in (tile.start, tile.stop)][1:-1:2] == [tile.start for tile in tiles[1:]]
        assert tiles[0].start == 0 and tiles[-1].stop == num_columns


@pytest.mark.parametrize("workspace_bytes", [600_000, 5 << 20, None])
@pytest.mark.parametrize(("rows", "width", "size"), [(1, 8, 5), (512, 64, 32768), (5000, 64, 30522)])
def test_tiles_cover_every_logit_once(rows, width, size, workspace_bytes):
    hidden_states, weight = (torch.empty(length, width, device="meta") for length in (rows, size))
    tiling = plan_tiles(hidden_states, weight, workspace_bytes)
    for blocks, length in ((tiling.row_blocks(), rows), (tiling.column_blocks(), size)):
        assert [i for block in blocks for i in range(block.start, block.stop)] == list(range(length))
    assert tiling.is_one_block == (tiling.rows == rows)


def test_too_small_a_workspace_is_named():
    hidden_states, weight = torch.empty(20, 300), torch.empty(500, 300)
    with pytest.raises(ValueError, match=r"workspace_bytes must be at least (\d+) for one block with D=300") as error:
        plan_tiles(hidden_states, weight, 1000)
    least = int(str(error.value).split("least ")[1].split()[0])
    assert plan_tiles(hidden_states, weight, least).rows >= 16
