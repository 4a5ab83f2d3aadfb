"""Tiles of logits, the slope of their softcap, and targets taken out of them."""

from __future__ import annotations

import pytest
import torch

from lift_kernels import reference
from lift_kernels.fallback.logits import LogitTiles, logit_slope, take_targets
from lift_kernels.fallback.matmul import HeadRows
from lift_kernels.fallback.tiles import Tiling
from lift_kernels.linear_head import LinearHead
from lift_kernels.testing import Head


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_tiles_are_those_of_the_whole_matrix(dtype):
    head, tiling = Head.random(5, 8, 80, dtype), Tiling(5, 80, 5, 32, False)
    linear = LinearHead(head.weight, head.bias, 1.5, 2.5, exclude_index=40)
    logits = LogitTiles(head.hidden_states, linear, tiling, HeadRows(head.weight, 32))
    tiles = [logits(columns)[0].clone() for columns in tiling.column_blocks()]
    wide = head.double()
    true = reference.linear_logits(wide.hidden_states, wide.weight, wide.bias, 1.5, 2.5, exclude_index=40)
    assert [tile.shape[0] for tile in tiles] == [32, 32, 16]
    torch.testing.assert_close(torch.cat(tiles).double(), true.t(), rtol=1e-5, atol=1e-5)


def test_the_slope_is_the_derivative_of_a_softcap_and_0_where_there_is_no_logit():
    x = torch.linspace(-9, 9, 7, dtype=torch.float64, requires_grad=True)
    z = 3 * torch.tanh(x / 3)
    z.sum().backward()
    torch.testing.assert_close(logit_slope(LinearHead(x, softcap=3.0), z.detach()), x.grad)
    assert logit_slope(LinearHead(x, softcap=3.0), torch.tensor(-torch.inf)) == 0
    assert logit_slope(LinearHead(x), z) is None


def test_a_target_is_taken_out_of_the_tile_that_holds_it():
    z, before = torch.arange(12.0).view(4, 3), torch.tensor([-1.0, -2.0, -3.0])
    found = take_targets(z, torch.tensor([9, 11, 14]), slice(10, 14), before)
    assert found.tolist() == [-1.0, 4.0, -3.0]
    expected = torch.arange(12.0).view(4, 3)
    expected[1, 1] = -torch.inf
    assert torch.equal(z, expected)
