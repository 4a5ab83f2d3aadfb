from __future__ import annotations

import pytest
import torch

from lift.objectives import LiftOptions, draw_time
from lift.objectives.block_times import draw_block_times
from lift.objectives.blocks import Blocks

ROWS, LENGTH, SIZE = 5, 32, 4  # 8 blocks a row
IDS = torch.arange(ROWS) * 3 + 1


def times(ids=IDS, blocks=None, seed=0, **options):
    blocks = Blocks.of_rows(len(ids), LENGTH, SIZE) if blocks is None else blocks
    found = draw_block_times(
        LiftOptions(**options), seed, ids, blocks, position=torch.arange(len(ids)), num_rows=len(ids)
    )
    return found.view(len(ids), -1)


@pytest.mark.parametrize("strata", [True, False])
def test_a_time_is_a_function_of_seed_example_and_block(strata):
    whole = times(time_strata=strata)
    assert torch.equal(whole[[3, 1]], times(IDS[[3, 1]], time_strata=strata))
    assert not (whole == times(seed=1, time_strata=strata)).any()
    assert whole.unique().numel() == whole.numel()


def test_times_of_a_row_are_spread_evenly_in_no_fixed_order():
    found = times(torch.arange(400))
    parts = (found * 8).long()
    assert (parts.sort(1).values == torch.arange(8)).all()
    assert torch.allclose(found * 8 - parts, (found * 8 - parts)[:, :1], atol=1e-4)  # all in one place of their part
    assert ((found.mean(0) - 0.5).abs() < 0.06).all()  # no block is tied to a time
    assert abs(torch.corrcoef(parts.T.double()).fill_diagonal_(0).mean() + 1 / 8) < 0.03  # nor to its neighbour's


def test_times_of_a_step_are_spread_evenly_over_all_its_blocks():
    found = times(timestep_distribution="low_discrepancy").flatten()
    assert (found * 40).long().sort().values.tolist() == list(range(40))


def test_padding_takes_no_part_of_the_spread():
    lengths = torch.tensor([32, 9, 4, 1, 0])
    found = times(blocks=Blocks.of_rows(ROWS, LENGTH, SIZE, lengths=lengths))
    for row, blocks in enumerate([8, 3, 1, 1]):
        assert (found[row, :blocks] * blocks).long().sort().values.tolist() == list(range(blocks))
    wider = times(blocks=Blocks.of_rows(ROWS, 2 * LENGTH, SIZE, lengths=lengths))
    assert torch.equal(wider[1, :3], found[1, :3])


@pytest.mark.parametrize("distribution", ["uniform", "discrete", "fixed", "low_discrepancy", "antithetic"])
def test_a_row_of_one_block_has_the_time_of_a_row(distribution):
    fixed = 0.3 if distribution == "fixed" else None
    found = times(blocks=Blocks.of_rows(ROWS, 4, 4), timestep_distribution=distribution, fixed_timestep=fixed)
    of_rows = draw_time(distribution, 0, IDS, fixed_time=fixed, position=torch.arange(ROWS), num_rows=ROWS)
    assert torch.equal(found[:, 0], of_rows)
    by_row = times(time_scope="row", timestep_distribution=distribution, fixed_timestep=fixed)
    assert torch.equal(by_row, of_rows[:, None].expand(ROWS, 8))


@pytest.mark.parametrize("strata", [True, False])
def test_documents_have_a_time_each(strata):
    positions = torch.tensor([[*range(6), *range(3), *range(5), 0, 0]])
    blocks = Blocks.of_documents(positions, torch.tensor([14]), 4)
    found = times(torch.tensor([7]), blocks, time_scope="document", time_strata=strata)[0]
    first, second, third = found[0], found[2], found[3]
    assert found[1] == first and found[4] == third and len({first, second, third}) == 3
    if strata:
        assert sorted((torch.stack([first, second, third]) * 3).long().tolist()) == [0, 1, 2]
