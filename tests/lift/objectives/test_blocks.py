from __future__ import annotations

import pytest
import torch

from lift.errors import LiftError
from lift.objectives.blocks import Blocks

# Two packed rows of 11 positions: documents of 5 and 3 tokens and 3 of padding; one of 9 and 2 of padding.
POSITIONS = torch.tensor([[0, 1, 2, 3, 4, 0, 1, 2, 0, 0, 0], [0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0]])
LENGTHS = torch.tensor([8, 9])


def packed() -> Blocks:
    return Blocks.of_documents(POSITIONS, LENGTHS, 4)


def test_blocks_of_a_row_are_its_consecutive_positions_and_the_last_may_be_short():
    blocks = Blocks.of_rows(2, 7, 4, lengths=torch.tensor([3, 6]))
    assert blocks.per_row == 2 and blocks.row.tolist() == [0, 0, 1, 1]
    assert blocks.number[1].tolist() == [0, 0, 0, 0, 1, 1, 1] and blocks.offset[0].tolist() == [0, 1, 2, 3, 0, 1, 2]
    assert blocks.num_used.tolist() == [1, 2]
    assert blocks.num_before().tolist() == [0, 4, 0, 4]


def test_blocks_are_counted_anew_from_an_origin():
    origin, lengths = torch.tensor([3, 0, 4, 9]), torch.tensor([9, 7, 8, 9])
    blocks = Blocks.of_rows(4, 9, 4, lengths=lengths, origin=origin)
    assert blocks.number.tolist() == [
        [0, 0, 0, 1, 1, 1, 1, 2, 2], [0, 0, 0, 0, 1, 1, 1, 1, 2], [0, 0, 0, 0, 1, 1, 1, 1, 2], [0, 0, 0, 0, 1, 1, 1, 1, 2],
    ]  # fmt: skip
    assert blocks.offset[0].tolist() == [0, 1, 2, 0, 1, 2, 3, 0, 1] and blocks.per_row == 3
    assert blocks.num_used.tolist() == [3, 2, 2, 3]
    assert blocks.num_before().tolist() == [0, 3, 7, *[0, 4, 8] * 3]
    start = Blocks.of_rows(4, 9, 4, lengths=lengths)
    at_start = Blocks.of_rows(4, 9, 4, lengths=lengths, origin=torch.zeros(4, dtype=torch.int64))
    for name in ("number", "offset", "document", "num_used"):
        assert torch.equal(getattr(start, name), getattr(at_start, name)), name


def test_blocks_of_packed_rows_begin_anew_with_each_document():
    blocks = packed()
    assert blocks.number[0].tolist() == [0, 0, 0, 0, 1, 2, 2, 2, 3, 3, 3]
    assert blocks.number[1].tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 2, 3, 3]
    assert blocks.document[0].tolist() == [0] * 5 + [1] * 3 + [2] * 3
    assert blocks.num_used.tolist() == [3, 3]
    assert blocks.first_of_document().tolist() == [[0, 0, 2, 3], [0, 0, 0, 3]]
    assert blocks.num_before().tolist() == [0, 4, 0, 0, 0, 4, 8, 0]


@pytest.mark.parametrize(
    "blocks",
    [
        Blocks.of_rows(2, 11, 4), Blocks.of_rows(2, 11, 11), packed(),
        Blocks.of_rows(2, 11, 4, origin=torch.tensor([3, 6])),
    ],
)  # fmt: skip
def test_folding_loses_nothing(blocks):
    values = torch.arange(22).view(2, 11)
    folded = blocks.fold(values, -1)
    assert folded.shape == (2 * blocks.per_row, blocks.size)
    assert torch.equal(folded, blocks.index()) and torch.equal(blocks.unfold(folded), values)
    assert sorted(folded[folded >= 0].tolist()) == list(range(22))
    views = torch.cat([folded, folded + 100])
    assert torch.equal(blocks.unfold(views), torch.cat([values, values + 100]))


def test_a_block_is_named_by_its_row_and_number_and_the_first_by_its_row_alone():
    ids = Blocks.of_rows(2, 8, 4).ids(torch.tensor([7, 3]))
    assert ids.tolist() == [7, 7 + 2**32, 3, 3 + 2**32]
    for wrong in (-1, 2**32):
        with pytest.raises(LiftError, match="number the rows anew"):
            Blocks.of_rows(1, 8, 4).ids(torch.tensor([wrong]))
