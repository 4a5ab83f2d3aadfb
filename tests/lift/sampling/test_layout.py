"""Where prompts and answers stand on the canvas."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lift.sampling import SamplingConfig
from lift.sampling.layout import lay_out

M = 9
IDS = torch.tensor([[0, 1, 0, 2, 3], [4, 5, 6, 7, 8], [1, 2, 0, 0, 0]])
MASK = torch.tensor([[0, 1, 0, 1, 1], [1, 1, 1, 1, 1], [1, 1, 0, 0, 0]])


def shown(**options):
    length = options.pop("length")
    canvas = lay_out(IDS, MASK, SamplingConfig(**options), length, options["block_length"], M)
    ids = canvas.ids.masked_fill(~canvas.is_there, -1).tolist()
    rows = ["".join("m" if i == M else "." if i < 0 else str(i) for i in row) for row in ids]
    return rows, canvas.blocks, canvas.first.tolist()


def test_answers_begin_in_one_column():
    rows, blocks, first = shown(block_length=2, length=4)
    assert rows == ["..123mmmm", "45678mmmm", "...12mmmm"]
    assert blocks == [(5, 7), (7, 9)] and first == [2, 0, 3]


def test_answers_of_blocks_begin_with_a_block():
    rows, blocks, first = shown(block_length=3, length=4, attention="block_causal")
    assert rows == ["...123mmmm", ".45678mmmm", "....12mmmm"]
    assert blocks == [(6, 9), (9, 10)] and first == [3, 1, 4]


def test_blocks_counted_from_the_start_meet_in_one_column():
    rows, blocks, first = shown(block_length=2, length=2, attention="block_causal", block_origin="start")
    # Written: 3 + 2 tokens fill three blocks, 5 + 2 four, 2 + 2 two.
    assert rows == ["..123mmm", "45678mmm", "..12mm.."]
    assert blocks == [(4, 6), (6, 8)] and first == [2, 0, 2]


def test_text_to_be_filled_in_begins_in_the_first_column():
    ids = torch.tensor([[0, M, 5, M], [M, 1, 2, 0]])
    mask = torch.tensor([[0, 1, 1, 1], [1, 1, 1, 0]])
    canvas = lay_out(ids, mask, SamplingConfig(infill=True), 4, 3, M)
    assert canvas.ids.masked_fill(~canvas.is_there, -1).tolist() == [[M, 5, M, -1], [M, 1, 2, -1]]
    assert canvas.is_answer.tolist() == [[True, False, True, False], [True, False, False, False]]
    assert canvas.blocks == [(0, 3), (3, 4)] and torch.equal(canvas.text(), ids)


@pytest.mark.parametrize("options", [{}, {"attention": "block_causal"}, {"block_origin": "start"}, {"infill": True}])
@given(data=st.data())
def test_rows_come_back_as_they_were_given(options, data):
    width, block_length, length = (
        data.draw(st.integers(1, 6)),
        data.draw(st.integers(1, 4)),
        data.draw(st.integers(1, 5)),
    )
    mask = torch.tensor(
        data.draw(st.lists(st.lists(st.integers(0, 1), min_size=width, max_size=width), min_size=1, max_size=3))
    )
    ids = torch.randint(0, 8, mask.shape)
    canvas = lay_out(ids, mask, SamplingConfig(**options), length, block_length, M)
    text = canvas.text()
    assert torch.equal(text[:, :width], ids)
    assert (text[:, width:] == M).all() and text.shape[1] == width + (0 if options.get("infill") else length)
    assert torch.equal(canvas.read(canvas.ids)[:, :width][mask == 0], torch.full_like(ids[mask == 0], -1))
