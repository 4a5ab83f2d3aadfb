"""The Trainer around the steps: its log, its checkpoints, its samplers, and which time counts as training."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from lift import LiftError, LiftTrainer
from lift.tasks import sudoku
from lift.training import loop, progress
from lift.training.length_sampler import LengthGroupedSampler
from tests.lift.support.tiny import GROUPED, tiny_config, tiny_model, tiny_rows, uneven_rows
from tests.lift.support.trainers import make_trainer


class SlowTrainer(LiftTrainer):
    """By a clock of its own: a step takes a second, and whatever is no training takes a thousand."""

    clock: SimpleNamespace

    def training_step(self, *args, **kwargs):
        self.clock.now += 1
        return super().training_step(*args, **kwargs)

    def evaluation_loop(self, *args, **kwargs):
        self.clock.now += 1000
        return super().evaluation_loop(*args, **kwargs)

    def save_model(self, *args, **kwargs):
        self.clock.now += 1000
        return super().save_model(*args, **kwargs)


def test_speed_is_that_of_training_alone(tmp_path, monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(progress.time, "perf_counter", lambda: clock.now)
    trainer = SlowTrainer(
        model=tiny_model(), train_dataset=tiny_rows(), eval_dataset=tiny_rows(6),
        processing_class=sudoku.build_tokenizer(),
        args=tiny_config(
            tmp_path, max_steps=4, eval_strategy="steps", eval_steps=1, save_strategy="steps", save_steps=1
        ),
    )  # fmt: skip
    trainer.clock = clock
    trainer.evaluate()
    clock.now += 1000  # between the trainer's making and its training
    trainer.train()
    speeds = [entry["tokens_per_second"] for entry in trainer.state.log_history if "loss" in entry]
    assert speeds == [4 * 32] * 4
    assert clock.now > 8000


class Watched:
    """In the place of `FiniteLoss`: notes when it is asked, and fails at one of these times."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.asked: list[int] = []
        self.fails_at = fails_at

    def watch(self, loss, step):
        pass

    def check(self, step):
        self.asked.append(step)
        if len(self.asked) == self.fails_at:
            raise LiftError("not finite")


def test_the_loss_is_checked_before_a_log_entry_a_checkpoint_and_the_end(tmp_path):
    """On an accelerator, where it is not looked at each step."""
    options = {
        "max_steps": 2,
        "logging_steps": 2,
        "logging_first_step": False,
        "save_strategy": "steps",
        "save_steps": 2,
    }
    trainer = make_trainer(tmp_path / "whole", **options)
    trainer._finite_loss = Watched()
    trainer.train()
    assert trainer._finite_loss.asked == [3, 3, 3]
    for fails_at, has_entry, has_checkpoint in ((1, False, False), (2, True, False), (3, True, True)):
        trainer = make_trainer(tmp_path / str(fails_at), **options)
        trainer._finite_loss = Watched(fails_at)
        with pytest.raises(LiftError, match="not finite"):
            trainer.train()
        assert any("loss" in entry for entry in trainer.state.log_history) == has_entry
        assert (tmp_path / str(fails_at) / "checkpoint-2").exists() == has_checkpoint


def test_only_entries_of_training_have_its_statistics(tmp_path):
    trainer = make_trainer(tmp_path, max_steps=2, eval_strategy="steps", eval_steps=1)
    trainer.train()
    for entry in trainer.state.log_history:
        assert ("loss" in entry) == ("nll" in entry) == ("tokens_per_second" in entry)
    assert sum("eval_loss" in entry for entry in trainer.state.log_history) == 2


def test_a_checkpoint_that_looks_complete_has_the_scores(tmp_path):
    trainer = make_trainer(
        tmp_path, max_steps=2, save_strategy="steps", save_steps=1, method="lift2", score_source="cache"
    )
    saved, save = [], trainer._scorer.source.save

    def watch(folder):
        saved.append((folder.name, sorted(path.name for path in folder.glob("*"))))
        save(folder)

    trainer._scorer.source.save = watch
    trainer.train()
    assert saved == [("checkpoint-1", []), ("checkpoint-2", [])]
    assert (tmp_path / "checkpoint-2" / "score_cache-00000-of-00001.safetensors").is_file()


def test_a_resume_looks_first_whether_the_checkpoint_fits(tmp_path, monkeypatch):
    options = {"max_steps": 2, "save_strategy": "steps", "save_steps": 1}
    make_trainer(tmp_path, **options).train()
    asked = []
    monkeypatch.setattr(loop, "check_resumable", lambda model, folder: asked.append((model, folder)))
    trainer = make_trainer(tmp_path, **options)
    trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-1"))
    assert asked == [(trainer.model, str(tmp_path / "checkpoint-1"))]


def test_an_evaluation_is_numbered_and_knows_its_examples(tmp_path):
    trainer = make_trainer(tmp_path)
    assert trainer._num_evaluations == 0
    for number, num_rows in ((1, 6), (2, 5)):
        trainer.evaluate(tiny_rows(num_rows))
        assert (trainer._num_evaluations, trainer._evaluation.num_examples) == (number, num_rows)


def test_rows_are_grouped_by_length_over_a_whole_step(tmp_path):
    trainer = LiftTrainer(
        model=tiny_model(), train_dataset=uneven_rows(), eval_dataset=uneven_rows(10),
        processing_class=sudoku.build_tokenizer(),
        args=tiny_config(
            tmp_path, **GROUPED, gradient_accumulation_steps=3, per_device_train_batch_size=2,
            per_device_eval_batch_size=5,
        ),
    )  # fmt: skip
    sampler, evaluation_sampler = trainer._get_train_sampler(), trainer._get_eval_sampler(trainer.eval_dataset)
    assert isinstance(sampler, LengthGroupedSampler) and isinstance(evaluation_sampler, LengthGroupedSampler)
    assert (sampler.group_size, evaluation_sampler.group_size) == (6, 5)
    assert (len(sampler), len(evaluation_sampler), len(trainer._get_train_sampler(uneven_rows(4)))) == (24, 10, 4)
    trainer.state.epoch = 2.7
    assert (sampler.epoch(), evaluation_sampler.epoch()) == (2, 0)
    plain = make_trainer(tmp_path)
    assert not isinstance(plain._get_train_sampler(), LengthGroupedSampler)
    assert not isinstance(plain._get_eval_sampler(plain.eval_dataset), LengthGroupedSampler)


def test_one_process_adds_nothing(tmp_path):
    counts = torch.tensor([1.0, 2.0])
    assert make_trainer(tmp_path)._sum_over_processes(counts) is counts
