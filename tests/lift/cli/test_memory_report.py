"""What would fit a step into a card: the least change, with steps of as many rows."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from lift.cli.memory_report import memory_lines, shown, what_fits
from lift.training.memory_estimate import MemoryEstimate
from lift.training.saved_tensors import Activations
from tests.lift.support.trainers import trainer_of_uneven_rows

PLAIN = MemoryEstimate(
    weights=100, gradients=100, largest_gradient=10, optimiser=200, activations=Activations(0, 50), plain_block=5,
    workspace_per_row=0, workspace_most=0, rows=8, accumulation=2,
)  # fmt: skip
SMALLER = MemoryEstimate(**{**vars(PLAIN), "activations": Activations(0, 5)})
ARGS = SimpleNamespace(per_device_train_batch_size=8, gradient_accumulation_steps=2)


@pytest.mark.parametrize(
    ("capacity", "words"),
    [
        (850, "fits"),
        (849, "with --per_device_train_batch_size 4 --gradient_accumulation_steps 4"),
        (465, "with --per_device_train_batch_size 1 --gradient_accumulation_steps 16"),
        (464, "with --flag true --per_device_train_batch_size 4 --gradient_accumulation_steps 4"),
        (419, "no"),
    ],
)
def test_the_first_choice_that_fits_is_named(capacity, words):
    assert PLAIN.peak == 100 + 200 + 100 + 400 + 10 + 40
    assert what_fits([("", PLAIN), ("--flag true", SMALLER)], capacity, ARGS) == words


def test_without_a_saved_model_no_adapter_is_proposed(tmp_path, monkeypatch):
    monkeypatch.setattr("lift.cli.memory_report._CARDS", (1e-5, 1e-2, 1))

    def lines(rank):
        trainer = trainer_of_uneven_rows(tmp_path)
        return [line for line in memory_lines(trainer, checkpoints=False, lora_rank=rank) if isinstance(line, str)]

    assert [line.partition(": ")[2] for line in lines(4)[-4:-1]] == ["no", "no", "fits"]


def test_bytes_are_shown_with_their_unit():
    assert (shown(3 << 29), shown(3 << 19)) == ("1.5 GB", "1.5 MB")
