"""Whole runs of `method=puma`: each row for K steps, no forward beside the loss's, the same run after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file
from transformers import ModernBertForMaskedLM

from lift import LiftError, LiftTrainer
from lift.tasks import sudoku
from lift.training.pool_file import FILE
from tests.lift.support.launchers import ENVIRONMENT
from tests.lift.support.tiny import GROUPED, tiny_config, tiny_model, uneven_rows
from tests.lift.support.trainers import trainer_of_uneven_rows, weights
from tests.transformers_version import needs_packing

SAVING = {"method": "puma", "max_steps": 9, "save_strategy": "steps", "save_steps": 4}
BLOCKS = pytest.param({"attention": "block", "block_size": 4, "puma_threshold": 0.3}, marks=needs_packing)


def opinionated_model() -> ModernBertForMaskedLM:
    """In float64, whose predictions differ by more than their rounding."""
    model = tiny_model().double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(8 if parameter.dim() > 1 else 1)
    return model


class Watched(LiftTrainer):
    """Notes what each micro-batch masks, and every forward of the model."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.seen: list[dict[int, set[int]]] = []
        self.num_forwards = 0
        self.model.register_forward_pre_hook(self._count)

    def _count(self, *_args) -> None:
        self.num_forwards += 1

    def prepare_training_batch(self, model, inputs, *args, **kwargs):
        prepared = super().prepare_training_batch(model, inputs, *args, **kwargs)
        masked = prepared.batch.labels != -100
        assert not (masked & (torch.arange(masked.shape[1]) >= torch.tensor(inputs["lengths"])[:, None])).any()
        self.seen.append(
            {
                row: set(mask.nonzero()[:, 0].tolist())
                for row, mask in zip(inputs["example_id"].tolist(), masked, strict=True)
            }
        )
        return prepared


def test_at_the_defaults_each_row_is_trained_for_eight_steps_on_ever_fewer_masks(tmp_path):
    trainer = trainer_of_uneven_rows(tmp_path, Watched, method="puma", max_steps=-1, num_train_epochs=1)
    trainer.train()
    assert trainer.state.global_step == trainer.num_forwards == len(trainer.seen) == 48  # 24 rows, 8 phases, 4 a step
    assert trainer.state.epoch == 1
    visits: dict[int, int] = {}
    num_tokens = {row["example_id"]: len(row["input_ids"]) - 2 for row in trainer.train_dataset}
    for before, after in zip(trainer.seen, trainer.seen[1:], strict=False):
        for row, mask in after.items():
            assert mask
            if row in before:
                assert mask <= before[row]
            else:
                assert len(mask) >= 0.8 * num_tokens[row]
    for step in trainer.seen:
        for row in step:
            visits[row] = visits.get(row, 0) + 1
    assert len(visits) == 24 and sum(n == 8 for n in visits.values()) >= 16
    shares = [len(mask) / num_tokens[row] for step in trainer.seen for row, mask in step.items()]
    assert 0.4 < sum(shares) / len(shares) < 0.65  # all phases alike often
    entries = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert all(0 < entry["mean_t"] <= 1 for entry in entries)
    evaluated, sft = trainer.evaluate()["eval_loss"], trainer_of_uneven_rows(tmp_path, method="sft")
    sft.model.load_state_dict(trainer.model.state_dict())
    assert evaluated == sft.evaluate()["eval_loss"]


def test_it_learns_and_what_is_put_back_is_what_the_model_was_surest_of(tmp_path):
    """By the same model, asked once more for each step."""
    trainer = Watched(
        model=opinionated_model(), args=tiny_config(tmp_path, method="puma", max_steps=6, learning_rate=0.0),
        train_dataset=uneven_rows(), processing_class=sudoku.build_tokenizer(),
    )  # fmt: skip
    trainer.train()
    rows = {row["example_id"]: row for row in trainer.train_dataset}
    checked = 0
    for before, after in zip(trainer.seen, trainer.seen[1:], strict=False):
        width = max(len(rows[row]["input_ids"]) for row in before)
        ids = torch.tensor([rows[row]["input_ids"] + [0] * (width - len(rows[row]["input_ids"])) for row in before])
        noisy = ids.clone()
        for place, mask in enumerate(before.values()):
            noisy[place, sorted(mask)] = trainer.mask_token_id
        with torch.no_grad():
            surest = trainer.model.eval()(noisy).logits.log_softmax(-1).amax(-1)
        for place, (row, mask) in enumerate(before.items()):
            shown = sorted(mask - after[row]) if row in after else []
            if shown and after[row]:
                checked += 1
                assert surest[place, shown].min() > surest[place, sorted(after[row])].max()
    assert checked > 4
    losses = [entry["loss"] for entry in _trained(tmp_path).state.log_history if "loss" in entry]
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])


def _trained(tmp_path) -> LiftTrainer:
    rows = [row | {"input_ids": [2, 2, *[3, 4, 5] * 4]} for row in uneven_rows()]
    trainer = LiftTrainer(
        model=tiny_model(), train_dataset=Dataset.from_list(rows), processing_class=sudoku.build_tokenizer(),
        args=tiny_config(tmp_path, method="puma", max_steps=60, learning_rate=3e-3, lr_scheduler_type="constant"),
    )  # fmt: skip
    trainer.train()
    return trainer


@pytest.mark.parametrize("options", [{}, BLOCKS])
def test_a_resumed_run_is_the_same_run(tmp_path, options):
    options = SAVING | options | {"gradient_accumulation_steps": 2}
    whole = trainer_of_uneven_rows(tmp_path / "whole", **options)
    whole.train()
    resumed = trainer_of_uneven_rows(tmp_path / "resumed", **options)
    with torch.no_grad():
        for parameter in resumed.model.parameters():
            parameter.zero_()
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-4"))
    assert all(map(torch.equal, weights(whole.model), weights(resumed.model)))
    for ours, theirs in zip(resumed._pool.state(), whole._pool.state(), strict=True):
        assert torch.equal(ours, theirs)
    assert whole._pool.state().turn.max() > 0


_KILLED = """
import os, signal, sys
from pathlib import Path
from transformers import TrainerCallback
from tests.lift.support.trainers import trainer_of_uneven_rows

class Kill(TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == 6:
            os.kill(os.getpid(), signal.SIGKILL)

trainer = trainer_of_uneven_rows(Path(sys.argv[1]), **eval(sys.argv[2]))
trainer.add_callback(Kill())
trainer.train()
"""


def test_a_killed_run_ends_as_if_it_had_not_been(tmp_path):
    whole = trainer_of_uneven_rows(tmp_path / "whole", **SAVING)
    whole.train()
    command = [sys.executable, "-c", _KILLED, str(tmp_path / "killed"), repr(SAVING)]
    killed = subprocess.run(command, env=os.environ | ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    resumed = trainer_of_uneven_rows(tmp_path / "killed", **SAVING)
    resumed.train(resume_from_checkpoint=True)
    assert all(map(torch.equal, weights(whole.model), weights(resumed.model)))
    ours, theirs = (load_file(tmp_path / name / "checkpoint-8" / FILE) for name in ("killed", "whole"))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    state = json.loads((tmp_path / "killed" / "checkpoint-8" / "trainer_state.json").read_text())
    assert state["global_step"] == 8


@pytest.mark.parametrize("options", [{}, BLOCKS])
def test_a_split_of_the_step_changes_nothing_even_of_a_resumed_run(tmp_path, options):
    def run(folder, size, accumulation, checkpoint=None):
        trainer = LiftTrainer(
            model=opinionated_model(), train_dataset=uneven_rows(), processing_class=sudoku.build_tokenizer(),
            args=tiny_config(
                tmp_path / folder, **SAVING, **options, per_device_train_batch_size=size, max_grad_norm=0.0,
                gradient_accumulation_steps=accumulation, optim="sgd", learning_rate=0.1,
            ),
        )  # fmt: skip
        trainer.train(resume_from_checkpoint=checkpoint)
        return trainer

    whole, split = run("whole", 8, 1), run("split", 2, 4)
    resumed = run("resumed", 4, 2, str(tmp_path / "whole" / "checkpoint-4"))
    for other in (split, resumed):
        for ours, theirs in zip(weights(other.model), weights(whole.model), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)
        assert torch.equal(other._pool.state().is_masked, whole._pool.state().is_masked)
    with pytest.raises(LiftError, match="is a pool of 8 rows and a step of this run has 4"):
        run("other", 4, 1, str(tmp_path / "whole" / "checkpoint-4"))


def test_a_second_training_starts_with_a_pool_of_its_own(tmp_path):
    trainer = trainer_of_uneven_rows(tmp_path, Watched, method="puma", learning_rate=0.0)
    trainer.train()
    first, trainer.seen = trainer.seen, []
    trainer.train()
    assert trainer.seen == first


def test_the_methods_own_loss_can_be_evaluated(tmp_path):
    trainer = trainer_of_uneven_rows(tmp_path, method="puma", eval_loss="train")
    assert 0 < trainer.evaluate()["eval_loss"] == trainer.evaluate()["eval_loss"]


def test_what_decides_otherwise_on_the_rows_of_a_step_is_refused(tmp_path):
    for options, sentence in (
        (GROUPED, "method='puma' chooses the rows of a step itself: leave grouping by length out"),
        ({"auto_find_batch_size": True}, "method='puma' keeps as many rows as a step has from the start"),
    ):
        with pytest.raises(LiftError, match=sentence):
            trainer_of_uneven_rows(tmp_path, method="puma", **options)
    stream = Dataset.from_list(uneven_rows()).to_iterable_dataset()
    with pytest.raises(LiftError, match="a stream has none: load its rows"):
        LiftTrainer(
            model=tiny_model(), args=tiny_config(tmp_path, method="puma"), train_dataset=stream,
            processing_class=sudoku.build_tokenizer(),
        )  # fmt: skip
