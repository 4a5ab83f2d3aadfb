"""How a collator pads is seen on two rows, whatever it does with blocks."""

from __future__ import annotations

import pytest
import torch

from lift.data.collated_batch import Padding
from lift.integrations.labelled_rows import content_id
from lift.integrations.named_rows import NamedRows, padding_of

ROW = {"input_ids": [4, 5, 6, 7], "labels": [-100, 5, 6, 7]}


def collator(*, multiple=1, block=1, label=-100, has_mask=True):
    """Fills rows to whole blocks with the trained token 2, then the batch with 0, labelled `label`."""

    def collate(rows):
        filled = [(row["input_ids"], row["labels"], -len(row["input_ids"]) % block) for row in rows]
        filled = [(ids + [2] * more, labels + [2] * more) for ids, labels, more in filled]
        width = -(-max(len(ids) for ids, _ in filled) // multiple) * multiple
        batch = {
            "input_ids": torch.tensor([ids + [0] * (width - len(ids)) for ids, _ in filled]),
            "labels": torch.tensor([labels + [label] * (width - len(labels)) for _, labels in filled]),
        }
        mask = torch.tensor([[1] * len(ids) + [0] * (width - len(ids)) for ids, _ in filled])
        return batch | ({"attention_mask": mask} if has_mask else {})

    return collate


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"label": 0, "has_mask": False}, Padding(0)),
        ({"has_mask": False}, Padding(0, is_maskable=False)),
        ({}, None),
        ({"label": 0, "has_mask": False, "multiple": 2}, None),
        ({"label": 0, "has_mask": False, "block": 4}, None),  # what fills a block is no padding, which differs
        ({"label": 0, "has_mask": False, "block": 5}, None),
        ({"label": 0, "has_mask": False, "block": 7}, None),
    ],
    ids=str,
)
@pytest.mark.parametrize("length", [3, 4])
def test_padding_is_what_reaches_to_the_longest_row(length, options, expected):
    row = {name: cells[:length] for name, cells in ROW.items()}
    assert padding_of(collator(**options), row, options.get("block", 1)) == expected


def test_names_have_as_many_bits_as_asked_for():
    named = NamedRows(collator())
    for bits in (63, 32):
        named.id_bits = bits
        batch = named([ROW, ROW])
        assert batch["host_example_id"] == (content_id(ROW["input_ids"], bits),) * 2
        assert batch["host_example_id"][0] >> bits == 0 and batch["lengths"] == (4, 4)
