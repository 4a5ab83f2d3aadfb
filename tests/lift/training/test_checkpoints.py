"""Which checkpoint a run goes on from."""

from __future__ import annotations

import shutil

import pytest
import torch

from lift.errors import LiftError
from lift.training.checkpoints import find_checkpoint, newest_checkpoint, step_of
from tests.lift.support.trainers import make_trainer, weights


def a_run(folder):
    """Checkpoints of which the newest are not whole, as a run leaves them that is killed while it writes."""
    for step, state in ((9, "{}"), (10, "{}"), (30, None), (40, ""), (50, '{"epoch": 1.'), ("best", "{}")):
        (folder / f"checkpoint-{step}").mkdir(parents=True)
        (folder / f"checkpoint-{step}" / "model.safetensors").touch()
        if state is not None:
            (folder / f"checkpoint-{step}" / "trainer_state.json").write_text(state)
    return folder


@pytest.mark.parametrize("value", [None, False, "false", "False"])
def test_no_checkpoint_is_wanted(tmp_path, value):
    assert find_checkpoint(a_run(tmp_path), value) is None


@pytest.mark.parametrize("value", [True, "true", "True"])
def test_the_newest_whole_checkpoint_of_this_run_is_found(tmp_path, value):
    assert find_checkpoint(a_run(tmp_path), value) == tmp_path / "checkpoint-10"


@pytest.mark.parametrize("kind", [str, lambda path: path])
def test_a_run_stands_for_its_newest_whole_checkpoint(tmp_path, kind):
    run = a_run(tmp_path / "other")
    assert find_checkpoint(tmp_path, kind(run)) == run / "checkpoint-10"
    assert find_checkpoint(tmp_path, kind(run / "checkpoint-9")) == run / "checkpoint-9"
    assert find_checkpoint(tmp_path, kind(run / "checkpoint-best")) == run / "checkpoint-best"


def test_the_newest_checkpoint_knows_its_step(tmp_path):
    run = a_run(tmp_path)
    assert newest_checkpoint(run) == run / "checkpoint-10" and newest_checkpoint(tmp_path / "none") is None
    (run / "checkpoint-10" / "trainer_state.json").write_text('{"global_step": 10, "max_steps": 11}')
    assert step_of(run / "checkpoint-10") == 10 and step_of(run / "checkpoint-9") == 0


def test_what_is_no_checkpoint_is_named(tmp_path):
    with pytest.raises(LiftError, match="no checkpoint folder at nowhere: set resume_from_checkpoint to true"):
        find_checkpoint(tmp_path, "nowhere")
    with pytest.raises(LiftError, match=f"no checkpoint in {tmp_path}: leave resume_from_checkpoint out"):
        find_checkpoint(tmp_path, "true")
    run = a_run(tmp_path)
    for step in (30, 40, 50):
        with pytest.raises(LiftError, match=f"checkpoint-{step} is no checkpoint that was written to its end"):
            find_checkpoint(tmp_path, str(run / f"checkpoint-{step}"))


def test_a_trainer_goes_on_from_a_runs_folder_whichever_way_it_is_named(tmp_path):
    options = {"max_steps": 3, "save_strategy": "steps", "save_steps": 2}
    whole = make_trainer(tmp_path, **options)
    whole.train()
    with pytest.raises(LiftError, match=r"checkpoint-3 is at step 3, and max_steps=3 leaves nothing to train"):
        whole.train(str(tmp_path))
    shutil.rmtree(tmp_path / "checkpoint-3")
    for where, argument in (({}, str(tmp_path)), ({}, tmp_path), ({"resume_from_checkpoint": str(tmp_path)}, None)):
        steps: list[int] = []
        trainer = make_trainer(tmp_path / "on", **options, **where)
        trainer.log_micro_batch = lambda *args, steps=steps, trainer=trainer: steps.append(trainer.state.global_step)
        trainer.train(argument)
        assert steps == [2]  # those before are in the checkpoint
        assert all(map(torch.equal, weights(trainer.model), weights(whole.model)))
