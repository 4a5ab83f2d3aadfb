"""What a checkpoint says of its run, and what a resume says it does otherwise."""

from __future__ import annotations

import json
import shutil
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from datasets import Dataset

from lift import LiftError, LiftTrainer
from lift.tasks import sudoku
from lift.training.settings_record import FILE, check_attention, compare_settings, fingerprint, settings_of
from tests.lift.support.tiny import GROUPED, tiny_config, tiny_model, uneven_rows
from tests.lift_kernels.tiny_models import Sizes, build
from tests.transformers_version import needs_packing

OPTIONS = {"max_steps": 3, "save_strategy": "steps", "save_steps": 2, "per_device_train_batch_size": 4}


def make(tmp_path, rows=None, **options) -> LiftTrainer:
    return LiftTrainer(
        model=tiny_model(), args=tiny_config(tmp_path, **(OPTIONS | options)), processing_class=sudoku.build_tokenizer(),
        train_dataset=uneven_rows() if rows is None else rows,
    )  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    make(folder).train()
    shutil.rmtree(folder / "checkpoint-3", ignore_errors=True)
    return folder


def said(caplog, tmp_path, run, rows=None, *, level="WARNING", **options) -> list[str]:
    caplog.clear()
    with caplog.at_level("INFO", "lift"):
        compare_settings(make(tmp_path, rows, **options), run / "checkpoint-2")
    return [r.getMessage() for r in caplog.records if r.levelname == level and "checkpoint-2" in r.getMessage()]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "sft"}, "method lift3 -> sft"),
        ({"seed": 1}, "seed 42 -> 1"),
        ({"learning_rate": 0.5}, "learning_rate 0.01 -> 0.5"),
        ({"lr_scheduler_type": "constant"}, "lr_scheduler_type linear -> constant"),
        ({"timestep_distribution": "antithetic"}, "timestep_distribution uniform -> antithetic"),
        ({"pad_in_loss": False}, "pad_in_loss True -> False"),
        ({"pad_to": "max_length", "max_length": 32}, "pad_to longest -> max_length"),
        ({"per_device_train_batch_size": 2}, "per_device_train_batch_size 4 -> 2"),
        ({"gradient_accumulation_steps": 2}, "gradient_accumulation_steps 1 -> 2"),
        ({"mask_token_id": 7}, "mask_token_id 1 -> 7"),
        (GROUPED, "group_by_length"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_changes_a_step_is_named(caplog, tmp_path, run, options, words):
    (sentence,) = said(caplog, tmp_path, run, **options)
    assert words in sentence and sentence.count(" -> ") == len(set(options) - {"max_length"}) + (
        "max_length" in options
    )


def test_several_changes_make_one_sentence(caplog, tmp_path, run):
    (sentence,) = said(caplog, tmp_path, run, uneven_rows(20), method="sft", seed=3, learning_rate=1.0)
    for words in (
        "method lift3 -> sft",
        "seed 42 -> 3",
        "learning_rate 0.01 -> 1.0",
        "train_dataset 24 rows -> 20 rows",
    ):
        assert words in sentence


def test_a_density_that_changed_under_its_name_is_seen(caplog, tmp_path):
    path, options = tmp_path / "density.json", {"method": "ppots", "save_steps": 3}
    content = {"format": 1, "points": [0, 1], "density": [1, 2]}
    path.write_text(json.dumps(content))
    make(tmp_path, time_density=str(path), **options).train()
    (tmp_path / "checkpoint-3").rename(tmp_path / "checkpoint-2")
    assert not said(caplog, tmp_path, tmp_path, time_density=str(path), **options)
    path.write_text(json.dumps(content | {"density": [2, 1]}))
    (sentence,) = said(caplog, tmp_path, tmp_path, time_density=str(path), **options)
    assert sentence.count(" -> ") == 1 and "content of time_density" in sentence


def test_other_rows_are_seen(caplog, tmp_path, run):
    rows = uneven_rows()
    assert not said(caplog, tmp_path, run, Dataset.from_list(rows))  # the same, from elsewhere
    for changed in (rows[::-1], [rows[0] | {"input_ids": [2, *rows[0]["input_ids"]]}, *rows[1:]]):
        (sentence,) = said(caplog, tmp_path, run, changed)
        assert sentence.endswith("train_dataset 24 rows -> 24 other rows.")


def test_what_changes_no_step_is_silent(caplog, tmp_path, run):
    assert not said(caplog, tmp_path, run, logging_steps=7, eval_grid="linspace", save_total_limit=3, run_name="other")


def test_another_length_and_another_split_of_equal_steps_are_mentioned(caplog, tmp_path, run):
    other = {"max_steps": 9, "per_device_train_batch_size": 2, "gradient_accumulation_steps": 2}
    (sentence,) = said(caplog, tmp_path, run, level="INFO", **other)
    assert "max_steps 3 -> 9; per_device_train_batch_size 4 -> 2; gradient_accumulation_steps 1 -> 2" in sentence
    assert not said(caplog, tmp_path, run, **other)
    (sentence,) = said(caplog, tmp_path, run, loss_normalizer="micro_batch", **other)
    assert "per_device_train_batch_size 4 -> 2" in sentence  # then the split changes the loss


def test_a_checkpoint_without_a_record_or_with_half_of_one_is_taken(caplog, tmp_path, run):
    checkpoint = tmp_path / "checkpoint-2"
    shutil.copytree(run / "checkpoint-2", checkpoint)
    record = json.loads((checkpoint / FILE).read_text())
    (checkpoint / FILE).write_text(json.dumps({"settings": {"method": "sft"}, "of a later release": 1}))
    (sentence,) = said(caplog, tmp_path, tmp_path)
    assert sentence.count("->") == 1 and "method sft -> lift3" in sentence
    (checkpoint / FILE).write_text(json.dumps(record)[:40])
    assert not said(caplog, tmp_path, tmp_path, method="sft")
    (checkpoint / FILE).unlink()
    assert not said(caplog, tmp_path, tmp_path, method="sft")


def test_training_says_it_and_goes_on(caplog, tmp_path, run):
    trainer = make(tmp_path, learning_rate=0.5, save_only_model=True)
    with caplog.at_level("WARNING", "lift"):
        trainer.train(str(run))
    (sentence,) = [message for message in caplog.messages if "goes on" in message]
    assert sentence.startswith(f"the run that goes on from {run / 'checkpoint-2'} is not the one that wrote it")
    assert trainer.state.global_step == 3
    caplog.clear()
    with caplog.at_level("WARNING", "lift"):
        make(tmp_path, max_steps=4, learning_rate=0.5).train(str(tmp_path))
    assert "optimizer: it starts anew, as save_only_model left its state out" in caplog.text


@pytest.mark.parametrize(
    ("attention", "is_given", "settings", "is_refused"),
    [
        ("block", False, {"method": "sft"}, True),  # of a release without blocks
        ("block", False, {"attention": "full"}, True),
        ("block", False, None, True),
        ("block", False, {"attention": "block"}, False),
        ("block", True, {"attention": "full"}, False),  # which is warned of as any other change
        ("full", False, {"method": "sft"}, False),
        ("full", True, {"attention": "block"}, False),
    ],
)
def test_a_run_on_whole_rows_does_not_go_on_in_blocks_unasked(tmp_path, attention, is_given, settings, is_refused):
    if settings is not None:
        (tmp_path / FILE).write_text(json.dumps({"settings": settings}))
    sentence = "attended to whole rows, and by default its model is now trained in blocks: set attention=full to go on"
    with pytest.raises(LiftError, match=sentence) if is_refused else nullcontext():
        check_attention(attention, tmp_path, is_given=is_given)


@needs_packing
def test_an_older_run_of_a_block_model_is_refused_until_somebody_says_how_to_go_on(tmp_path):
    def trainer(**options) -> LiftTrainer:
        torch.manual_seed(0)
        model = build("llada2", torch.float32, Sizes(vocab=8, length=24))
        args = tiny_config(tmp_path, **(OPTIONS | options))
        return LiftTrainer(
            model=model, args=args, processing_class=sudoku.build_tokenizer(), train_dataset=uneven_rows()
        )

    trainer(attention="full", max_steps=2).train()
    record = json.loads((tmp_path / "checkpoint-2" / FILE).read_text())
    for name in ("attention", "block_size"):
        del record["settings"][name]
    (tmp_path / "checkpoint-2" / FILE).write_text(json.dumps(record))
    with pytest.raises(LiftError, match="attended to whole rows"):
        trainer().train(resume_from_checkpoint=True)
    trainer(attention="full").train(resume_from_checkpoint=True)
    assert json.loads((tmp_path / "checkpoint-3" / FILE).read_text())["settings"]["attention"] == "full"


def test_a_fingerprint_reads_at_most_a_thousand_rows():
    class Rows:
        def __init__(self):
            self.asked: list[int] = []

        def __len__(self):
            return 10**9

        def __getitem__(self, index):
            self.asked.append(index)
            return {"input_ids": [index]}

    rows = Rows()
    assert fingerprint(rows)["rows"] == 10**9
    assert len(rows.asked) == 1000 and (rows.asked[0], rows.asked[-1]) == (0, 10**9 - 1)
    assert fingerprint(iter(())) == {"rows": None, "digest": None}


def test_the_record_is_plain_json(tmp_path):
    strange = {"lr_scheduler_type": "cosine", "lr_scheduler_kwargs": {"num_cycles": SimpleNamespace}}
    record = settings_of(make(tmp_path, **strange))
    assert json.loads(json.dumps(record)) == record
    assert set(record) == {"settings", "split", "length", "train_dataset", "has_optimizer"}
