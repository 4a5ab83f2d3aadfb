"""Each row's place in the optimiser step, as one process would see it; rows that fill up an epoch do not train twice."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from accelerate.data_loader import BatchSamplerShard
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch.utils.data import BatchSampler

from lift.training.place_in_step import place_in_step


def batch_of(example_ids: list[int]) -> dict:
    return {"example_id": torch.tensor(example_ids), "maskable": torch.tensor([[True, False, True]] * len(example_ids))}


def micro_batches(num_rows: int, size: int, num_processes: int, process: int) -> list[list[int]]:
    """The rows that accelerate's loader deals out to one process in an epoch, those that fill it up included."""
    return list(BatchSamplerShard(BatchSampler(range(num_rows), size, False), num_processes, process))


@settings(max_examples=60, deadline=None)
@example(num_rows=5, size=2, num_processes=2, accumulation=2)
@example(num_rows=7, size=4, num_processes=3, accumulation=1)
@given(
    num_rows=st.integers(1, 30), size=st.integers(1, 4), num_processes=st.integers(1, 3), accumulation=st.integers(1, 3)
)
def test_an_epoch_trains_every_row_once_in_the_places_of_one_process(num_rows, size, num_processes, accumulation):
    epochs = [micro_batches(num_rows, size, num_processes, process) for process in range(num_processes)]
    trained = []
    for start in range(0, len(epochs[0]), accumulation):
        places, num_step_rows = [], set()
        loader = SimpleNamespace(
            end_of_dataloader=start + accumulation >= len(epochs[0]), remainder=num_rows % (size * num_processes)
        )
        for process, epoch in enumerate(epochs):
            batches = [batch_of(ids) for ids in epoch[start : start + accumulation]]
            given_masks = [batch["maskable"] for batch in batches]
            copies = [mask.clone() for mask in given_masks]
            place_in_step(batches, loader, process=process, num_processes=num_processes)
            assert all(map(torch.equal, given_masks, copies))  # the collator's tensors are its own
            for i, batch in enumerate(batches):
                assert batch["micro_batch"] == i
                num_step_rows.add(batch["num_step_rows"])
                is_trained = batch["maskable"].any(1)
                assert torch.equal(batch["maskable"], copies[i] & is_trained[:, None])
                assert torch.equal(is_trained, batch["position"] < batch["num_step_rows"])
                for place, row in zip(batch["position"][is_trained], batch["example_id"][is_trained], strict=True):
                    places.append((place.item(), row.item()))
        assert [place for place, _ in sorted(places)] == list(range(len(places)))
        assert num_step_rows == {len(places)}
        trained += [row for _, row in sorted(places)]
    assert trained == list(range(num_rows))


@pytest.mark.parametrize("end_of_dataloader", [True, False])
def test_a_remainder_counts_at_the_end_of_the_epoch_alone(end_of_dataloader):
    """The loader knows it from the start, and 0 where the rows go round."""
    for remainder, num_rows in ((3, 7 if end_of_dataloader else 8), (0, 8)):
        batches = [batch_of([0, 1]), batch_of([2, 3])]
        loader = SimpleNamespace(end_of_dataloader=end_of_dataloader, remainder=remainder)
        place_in_step(batches, loader, process=1, num_processes=2)
        assert [batch["position"].tolist() for batch in batches] == [[2, 3], [6, 7]]
        assert {batch["num_step_rows"] for batch in batches} == {num_rows}
        assert batches[1]["maskable"].any(1).tolist() == [True, num_rows == 8]
