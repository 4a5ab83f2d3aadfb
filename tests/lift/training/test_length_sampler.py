"""Grouping by length: how much padding it saves, and that nothing but seed and epoch decides the order."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from accelerate.data_loader import BatchSamplerShard
from datasets import Dataset
from torch.utils.data import BatchSampler

from lift import LiftTrainer
from lift.tasks import sudoku
from lift.training.length_sampler import LengthGroupedSampler, length_grouped_sampler
from tests.lift.support.tiny import GROUPED, tiny_config, tiny_model, uneven_rows


def make_trainer(tmp_path, rows=None, model=None, **options) -> LiftTrainer:
    return LiftTrainer(
        model=tiny_model() if model is None else model,
        args=tiny_config(tmp_path, **options),
        train_dataset=uneven_rows() if rows is None else rows,
        eval_dataset=uneven_rows(10),
        processing_class=sudoku.build_tokenizer(),
    )


def num_pads(loader) -> tuple[int, int]:
    batches = list(loader)
    num_tokens = sum(batch["input_ids"].numel() for batch in batches)
    return num_tokens - sum(len(row["input_ids"]) for row in uneven_rows(200)), num_tokens


def test_batches_hold_fewer_pads(tmp_path):
    """200 rows of 5 to 22 tokens in batches of 4: every row once, padded to the longest of its batch."""
    pads = {}
    for name, options in {
        "random": {},
        "grouped": GROUPED,
        "max_length": {"pad_to": "max_length", "max_length": 32},
    }.items():
        loader = make_trainer(tmp_path, uneven_rows(200), **options).get_train_dataloader()
        assert sorted(i for batch in loader for i in batch["host_example_id"]) == list(range(200))
        pads[name], _ = num_pads(loader)
    assert pads["grouped"] < 0.25 * pads["random"]
    assert pads["random"] < 0.5 * pads["max_length"]


def test_a_step_holds_rows_of_one_length(tmp_path):
    """Two micro-batches are one group, so that neither is padded for the other's normaliser or process."""
    trainer = make_trainer(tmp_path, uneven_rows(200), **GROUPED, gradient_accumulation_steps=2)
    sampler = trainer._get_train_sampler()
    lengths = torch.tensor(sampler.lengths)[torch.tensor(list(sampler))].view(-1, 8)
    assert sampler.group_size == 8
    assert (lengths.amax(1) - lengths.amin(1)).median() <= 4  # of 17 between the shortest and the longest row


def test_the_order_is_a_function_of_seed_and_epoch():
    lengths = torch.randint(5, 500, (300,)).tolist()

    def order(seed: int, epoch: int) -> list[int]:
        torch.rand(seed + epoch)  # the global generator moves, and must not matter
        return list(LengthGroupedSampler(lengths, 8, seed=seed, epoch=lambda: epoch))

    assert order(3, 0) == order(3, 0) != order(3, 1) != order(4, 1)
    assert sorted(order(3, 1)) == list(range(300))


def test_two_processes_share_out_what_one_has():
    """accelerate's own shards: processes in different random states deal out the steps of one process."""
    lengths = torch.randint(5, 500, (96,)).tolist()

    def batches(num_processes: int, rank: int) -> list[list[int]]:
        torch.manual_seed(rank)
        sampler = LengthGroupedSampler(lengths, 8, seed=0, epoch=lambda: 0)
        batch_sampler = BatchSampler(sampler, 8 // num_processes, drop_last=False)
        return list(BatchSamplerShard(batch_sampler, num_processes, rank))

    halves = [first + second for first, second in zip(batches(2, 0), batches(2, 1), strict=True)]
    assert halves == batches(1, 0)


@pytest.mark.parametrize("rows", [uneven_rows(12), Dataset.from_list(uneven_rows(12))], ids=["list", "data set"])
def test_lengths_are_counted_or_read_from_their_column(rows):
    args = SimpleNamespace(
        train_sampling_strategy="group_by_length", length_column_name="length", seed=0, data_seed=None,
        disable_tqdm=True, process_index=0,
    )  # fmt: skip
    counted = [len(row["input_ids"]) for row in uneven_rows(12)]
    assert length_grouped_sampler(args, rows, 2, lambda: 0).lengths == counted
    if isinstance(rows, Dataset):
        given = rows.add_column("length", list(range(12)))
        assert length_grouped_sampler(args, given, 2, lambda: 0).lengths == list(range(12))
    args.train_sampling_strategy = "random"
    assert length_grouped_sampler(args, rows, 2, lambda: 0) is None
    args.group_by_length = True  # as transformers 4 has it
    assert length_grouped_sampler(args, rows, 2, lambda: 0).lengths == counted


def test_a_resumed_run_is_the_same_run_to_the_bit(tmp_path):
    """Stopped within its second epoch of 6 steps, with dropout, which moves the global generator."""
    options = {**GROUPED, "max_steps": 12, "save_strategy": "steps", "save_steps": 8}
    whole = make_trainer(tmp_path / "whole", model=tiny_model(dropout=0.1), **options)
    whole.train()
    resumed = make_trainer(tmp_path / "resumed", model=tiny_model(seed=5, dropout=0.1), **options)
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-8"))
    assert resumed.state.epoch == 2
    assert all(map(torch.equal, whole.model.parameters(), resumed.model.parameters()))


def test_each_epoch_has_an_order_of_its_own(tmp_path):
    """As trained: the order that the loader dealt out in the first epoch of 6 steps and in the second."""
    trainer = make_trainer(tmp_path, **GROUPED, max_steps=12)
    seen: list[tuple[int, ...]] = []
    step = trainer.training_step
    trainer.training_step = lambda model, inputs, *rest: (
        seen.append(inputs["host_example_id"]),
        step(model, inputs, *rest),
    )[1]
    trainer.train()
    assert len(seen) == 12 and sorted(seen[:6]) != sorted(seen[6:])
    assert sorted(sum(seen[:6], ())) == sorted(sum(seen[6:], ())) == list(range(24))


def test_evaluation_keeps_its_order(tmp_path):
    trainer = make_trainer(tmp_path, **GROUPED, eval_strategy="epoch", max_steps=12)
    before = [batch["host_example_id"] for batch in trainer.get_eval_dataloader()]
    trainer.train()
    assert [batch["host_example_id"] for batch in trainer.get_eval_dataloader()] == before
    assert trainer.evaluate()["eval_loss"] == trainer.evaluate()["eval_loss"]


def test_the_order_has_the_seed_of_the_data_where_there_is_one_and_a_stream_has_none():
    args = SimpleNamespace(
        group_by_length=True, length_column_name="length", seed=3, data_seed=None, disable_tqdm=True, process_index=0
    )
    assert length_grouped_sampler(args, uneven_rows(6), 2, lambda: 0).seed == 3
    args.data_seed = 0
    assert length_grouped_sampler(args, uneven_rows(6), 2, lambda: 0).seed == 0
    assert length_grouped_sampler(args, iter(uneven_rows(6)), 2, lambda: 0) is None
