"""Training rows are packed where the configuration asks for it, and where the model keeps packed examples apart."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from transformers import PretrainedConfig

from lift import LiftError
from lift.data import is_packed, pack_dataset
from lift.training.packing import packed_as_asked
from tests.lift.support.tiny import tiny_model, uneven_rows
from tests.transformers_version import needs_packing


def arguments(**options) -> SimpleNamespace:
    return SimpleNamespace(**{"packing": True, "max_length": 40, "disable_tqdm": True, "process_index": 0, **options})


@needs_packing
def test_rows_are_packed_to_the_length_that_is_asked_for():
    packed = packed_as_asked(uneven_rows(), arguments(), tiny_model().config)
    assert is_packed(packed) and len(packed) < 24
    assert packed.to_list() == pack_dataset(uneven_rows(), max_length=40).to_list()
    assert packed_as_asked(packed, arguments(), tiny_model().config) is packed  # once is enough
    assert packed_as_asked(None, arguments(), tiny_model().config) is None


def test_rows_stay_where_nothing_is_asked_for():
    rows = uneven_rows(4)
    for args in (arguments(packing=False), SimpleNamespace()):  # other trainers' have no such field
        assert packed_as_asked(rows, args, PretrainedConfig()) is rows
        assert packed_as_asked(None, args, PretrainedConfig()) is None


def test_packed_rows_that_the_arguments_know_nothing_of_are_refused():
    packed = pack_dataset(uneven_rows(), max_length=40)
    with pytest.raises(LiftError, match="train_dataset is packed: set packing=True and pad_in_loss=False"):
        packed_as_asked(packed, arguments(packing=False), tiny_model().config)


def test_a_model_that_would_mix_examples_is_refused():
    config = PretrainedConfig()
    config.model_type = "unknown"
    for rows in (uneven_rows(4), None):
        with pytest.raises(LiftError, match="packing needs a model known to keep the examples of a row apart"):
            packed_as_asked(rows, arguments(), config)
