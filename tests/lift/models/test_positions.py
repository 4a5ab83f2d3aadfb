"""Positions: rows that a model has none for are refused, and rows that it numbers wrongly get numbers."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest
import torch

from lift.errors import LiftError
from lift.models.positions import check_length, position_ids_for, warn_beyond_training
from lift_kernels.models import Positions

BERT = Positions(8, is_table=True, is_argument=True)
ROBERTA = Positions(8, is_table=True, first=2, skips_pads=True, is_argument=True)
IDS = torch.tensor([[1, 1, 5, 6], [5, 6, 7, 1]])


def test_a_row_has_at_most_as_many_tokens_as_there_are_positions():
    check_length(BERT, 8, "rows have", "cut them to {limit}")
    check_length(Positions(), 10**6, "rows have", "cut them to {limit}")
    with pytest.raises(
        LiftError, match=r"^rows have 9 tokens, .* 8 positions \(max_position_embeddings\): cut them to 8\.$"
    ):
        check_length(BERT, 9, "rows have", "cut them to {limit}")
    with pytest.raises(LiftError, match=r"\(max_position_embeddings less the 2 that it leaves out\)"):
        check_length(ROBERTA, 9, "rows have", "cut them to {limit}")


def test_a_mask_numbers_tokens_and_trained_padding_is_numbered_by_column():
    mask = (IDS != 1).long()
    assert position_ids_for(BERT, IDS, mask).tolist() == [[0, 0, 0, 1], [0, 1, 2, 2]]
    assert position_ids_for(ROBERTA, IDS, mask).tolist() == [[2, 2, 2, 3], [2, 3, 4, 4]]
    assert position_ids_for(ROBERTA, IDS, None).tolist() == [[2, 3, 4, 5]] * 2
    assert position_ids_for(BERT, IDS, None) is None  # columns are what it takes by itself
    for relative in (Positions(), Positions(8, is_table=True)):  # the second takes no position_ids
        assert position_ids_for(relative, IDS, mask) is None


@pytest.mark.parametrize(("num_tokens", "warns"), [(8, False), (9, True)])
def test_relative_positions_beyond_the_usual_are_a_caution(caplog, num_tokens, warns):
    class Rotary(torch.nn.Module):
        config = SimpleNamespace(max_position_embeddings=8)

        def get_input_embeddings(self):
            return None

    with caplog.at_level(logging.WARNING, "lift"):
        warn_beyond_training(Rotary(), num_tokens)
    assert ("go beyond the 8 positions" in caplog.text) == warns
