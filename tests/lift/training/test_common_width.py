"""Where padding is trained, a step is the same step however it is split, on rows of unequal length."""

from __future__ import annotations

import pytest
import torch

from lift.data import MaskedDiffusionCollator
from lift.data.collated_batch import Padding
from lift.training.common_width import longest_row, pad_to_longest, pad_to_width
from tests.lift.support.tiny import GROUPED
from tests.lift.support.trainers import first_step

# Each at the defaults but for what it names.
OPTIONS = {
    "defaults": {},
    "lift2": {"method": "lift2"},
    "gift": {"method": "gift"},
    "cart": {"method": "cart"},
    "complementary": {"complementary": True},
    "one forward": {"one_forward": True},
    "one forward, soft": {"one_forward": True, "learnability": "soft"},
    "frequency": {"score_source": "frequency"},
    "cache": {"score_source": "cache"},
    "sequence": {"loss_normalizer": "sequence"},
    "batch": {"loss_normalizer": "batch"},
    "a number": {"loss_denominator": 50.0},
    "multiple": {"pad_to_multiple_of": 16},
    "padding out": {"pad_in_loss": False},
    "grouped": GROUPED,
}


@pytest.mark.parametrize("name", OPTIONS)
def test_a_step_does_not_depend_on_how_it_is_split(tmp_path, name):
    whole = first_step(tmp_path, 8, 1, **OPTIONS[name])
    assert whole.norm() > 1e-3
    for size, accumulation in ((3, 3), (4, 2), (2, 4), (1, 8)) if name in ("defaults", "gift") else ((3, 3),):
        change = first_step(tmp_path, size, accumulation, **OPTIONS[name])
        # The share of a micro-batch is a float32 number, and no power of two in the last split.
        assert (change - whole).norm() < (1e-6 if size == 3 else 1e-12) * whole.norm()


def test_gift_with_the_published_normaliser_goes_by_micro_batch(tmp_path):
    options = {"method": "gift", "loss_normalizer": "micro_batch"}
    whole, split = (first_step(tmp_path, *sizes, **options) for sizes in ((8, 1), (2, 4)))
    assert (split - whole).norm() > 1e-3 * whole.norm()


def placed(lengths, *, num_rows=None, multiple=1) -> dict:
    rows = [{"input_ids": [3] * n, "prompt_length": 1, "example_id": i} for i, n in enumerate(lengths)]
    batch = MaskedDiffusionCollator(7, pad_to_multiple_of=multiple)(rows)
    return batch | {"position": torch.arange(len(rows)), "num_step_rows": num_rows or len(rows)}


def test_new_columns_are_padding_that_may_be_masked():
    batch, truth = placed([2, 4]), placed([2, 4, 6])
    pad_to_width(batch, 6)
    for name in ("input_ids", "maskable"):
        assert torch.equal(batch[name], truth[name][:2]) and batch[name].dtype == truth[name].dtype
    wide = placed([2, 4], multiple=4)
    pad_to_width(wide, 5)
    assert wide["input_ids"].shape == wide["maskable"].shape == (2, 8)


def test_a_repeated_row_widens_nothing_and_trains_nothing():
    batch = placed([2, 4, 9], num_rows=2)
    batch["maskable"][2] = False  # by `place_in_step`
    assert longest_row([batch]) == 4
    pad_to_width(batch, 4)
    assert torch.equal(batch["input_ids"][:2], placed([2, 4])["input_ids"]) and not batch["maskable"][2].any()
    pad_to_width(batch, 6)
    assert batch["maskable"][:2, 4:].all() and not batch["maskable"][2].any()


def test_all_processes_take_the_longest_row_of_any():
    batches = [placed([2], multiple=4), placed([5, 3], multiple=4)]
    asked = []
    pad_to_longest(batches, lambda longest: asked.append(longest) or 11)
    assert asked == [5] and [batch["input_ids"].shape for batch in batches] == [(1, 12), (2, 12)]
    alone = [placed([2]), placed([5, 3])]
    for batch in alone:
        del batch["padding"]
    pad_to_longest(alone, lambda _: pytest.fail("nothing to agree on"))
    assert [batch["input_ids"].shape[1] for batch in alone] == [2, 5]


def test_rows_whose_lengths_are_not_known_are_as_long_as_their_batch():
    batch = placed([2, 4])
    del batch["lengths"]
    assert longest_row([batch, placed([3])]) == 4


def test_padding_is_what_the_collator_makes_of_it():
    """Of another collator: not trained, or not attended to."""
    batch = placed([2, 4]) | {"padding": Padding(5, is_maskable=False, attention=0)}
    batch["attention_mask"] = torch.ones(2, 4, dtype=torch.int64)
    pad_to_width(batch, 5)
    assert batch["input_ids"][:, 4].tolist() == [5, 5] and not batch["maskable"][:, 4].any()
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1, 0]] * 2


def test_padding_in_turn_goes_on_where_a_row_is_made_wider():
    rows = [{"input_ids": [5] * n, "prompt_length": 1, "example_id": n} for n in (5, 3)]
    batch = MaskedDiffusionCollator(10, more_pad_ids=(11, 12))(rows)
    batch |= {"position": torch.arange(2), "num_step_rows": 2}
    pad_to_width(batch, 8)
    assert batch["input_ids"].tolist() == [[5] * 5 + [10, 11, 12], [5] * 3 + [10, 11, 12, 10, 11]]
    assert batch["maskable"][:, 1:].all()
