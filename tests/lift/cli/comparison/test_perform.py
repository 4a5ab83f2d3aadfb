"""Runs that are finished are kept, those that were stopped go on, and one that fails leaves the others."""

from __future__ import annotations

import json

import pytest
import yaml

from lift.cli.comparison import perform
from lift.errors import Interrupted, LiftError
from tests.lift.cli.comparison.support import FakeTraining, plan_of


@pytest.fixture
def training(monkeypatch):
    """Put runs without training in the place of children."""

    def be(told=None) -> FakeTraining:
        fake = FakeTraining(told)
        monkeypatch.setattr(perform, "train_in_child", fake)
        return fake

    return be


def planned(tmp_path, *words):
    plan = plan_of(tmp_path, "--seeds", "2", *words)
    (plan.folder / "settings").mkdir(parents=True, exist_ok=True)
    return plan


def checkpoint(folder, step, max_steps=100):
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    (path / "trainer_state.json").write_text(json.dumps({"global_step": step, "max_steps": max_steps}))
    return path


def test_each_run_is_told_by_a_file_and_only_unfinished_ones_are_made(tmp_path, training, capsys):
    plan, fake = planned(tmp_path), training()
    assert perform.perform(plan, 0) == {}
    assert [call for call in fake.calls] == [[str(tmp_path / "settings" / f"{run.name}.yaml")] for run in plan.runs]
    told = yaml.safe_load((tmp_path / "settings" / "lift3-seed-43.yaml").read_text())
    assert (told["method"], told["seed"], told["output_dir"]) == ("lift3", 43, str(tmp_path / "runs" / "lift3-seed-43"))
    assert "[6/6] sft-x1.22-seed-43: trained for 1 s" in capsys.readouterr().out
    (tmp_path / "runs" / "sft-seed-43" / "metrics.json").unlink()
    more = planned(tmp_path, "--methods", "sft,lift3,hard")
    assert perform.perform(more, 0) == {}
    assert [call[0].rpartition("/")[2] for call in fake.calls[6:]] == [
        "hard-seed-42.yaml", "sft-x1.33-seed-42.yaml", "sft-seed-43.yaml", "hard-seed-43.yaml", "sft-x1.33-seed-43.yaml",
    ]  # fmt: skip
    assert "5 of 10 runs are finished already" in capsys.readouterr().out


def test_a_crash_leaves_the_others_and_is_tried_again(tmp_path, training, capsys):
    plan = planned(tmp_path)
    training({"lift3-seed-42": (-9, ""), "sft-seed-43": (1, "ValueError: boom")})
    failed = {"lift3-seed-42": "ended with status -9", "sft-seed-43": "ValueError: boom"}
    assert perform.perform(plan, 0) == failed
    assert (
        f"sft-seed-43 failed, see {tmp_path / 'logs' / 'sft-seed-43.log'}: ValueError: boom" in capsys.readouterr().err
    )
    again = training()
    assert perform.perform(plan, 0) == {} and len(again.calls) == 2


def test_runs_from_a_start_that_failed_are_not_made(tmp_path, training):
    plan, fake = planned(tmp_path, "--start_steps", "2"), training({"start-seed-42": (1, "boom")})
    failed = perform.perform(plan, 0)
    assert failed["sft-seed-42"] == failed["lift3-seed-42"] == "start-seed-42 failed" and len(failed) == 4
    assert [call[0].rpartition("/")[2].split("-seed-")[1] for call in fake.calls] == ["42.yaml", *["43.yaml"] * 4]


def test_a_refusal_ends_all_with_its_sentence_and_binds_nobody(tmp_path, training):
    plan = planned(tmp_path)
    training({"sft-seed-42": (2, "no rows at x: check the path.")})
    with pytest.raises(LiftError, match=r"^sft-seed-42: no rows at x: check the path"):
        perform.perform(plan, 0)
    other = planned(tmp_path, "--learning_rate", "7")
    perform.check_known(other)
    training()
    assert perform.perform(other, 0) == {}


@pytest.mark.parametrize("status", [130, 143])
def test_a_run_that_was_stopped_stops_all_and_goes_on_from_its_checkpoint(tmp_path, training, status, capsys):
    plan = planned(tmp_path)
    training({"lift3-seed-42": (status, "stopped")})
    with pytest.raises(Interrupted) as interrupt:
        perform.perform(plan, 0)
    assert interrupt.value.status == status
    assert "stopped with 5 of 6 runs left: the same command goes on" in capsys.readouterr().out
    newest = [checkpoint(tmp_path / "runs" / "lift3-seed-42", step) for step in (10, 20)][-1]
    (tmp_path / "runs" / "lift3-seed-42" / "checkpoint-30").mkdir()  # torn
    fake = training({"lift3-seed-42": (1, "")})
    perform.perform(plan, 0)
    assert fake.calls[0][1:] == ["--resume_from_checkpoint", str(newest)]


def test_one_killed_in_its_last_evaluation_goes_on_after_its_last_step(tmp_path, training):
    plan, folder = planned(tmp_path), tmp_path / "runs" / "sft-seed-42"
    checkpoint(folder, 90)
    last = checkpoint(folder, 100)
    fake = training({"sft-seed-42": (1, "")})
    perform.perform(plan, 0)
    assert fake.calls[0][1:] == ["--resume_from_checkpoint", str(last)]


def test_what_is_left_of_one_without_a_checkpoint_is_cleared_away(tmp_path, training):
    plan, folder = planned(tmp_path), tmp_path / "runs" / "sft-seed-42"
    folder.mkdir(parents=True)
    (folder / "rest").touch()
    fake = training()
    perform.perform(plan, 0)
    assert len(fake.calls[0]) == 1 and not (folder / "rest").exists()


def test_what_is_there_must_be_of_the_same_settings(tmp_path, training):
    plan = planned(tmp_path)
    training()
    perform.perform(plan, 0)
    perform.check_known(plan)
    perform.check_known(planned(tmp_path, "--methods", "sft,lift3,hard", "--seeds", "3"))
    with pytest.raises(
        LiftError, match=r"has sft-seed-42 with learning_rate .*, not 7: go on with the settings of before"
    ):
        perform.check_known(planned(tmp_path, "--learning_rate", "7"))
    with pytest.raises(LiftError, match=r"has sft-seed-42 with weight_decay .*, not 0"):
        perform.check_known(planned(tmp_path, "--weight_decay", "0"))


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(LiftError, match="holds something else than a comparison: choose another"):
        perform.check_known(plan_of(tmp_path))


def test_rows_that_are_edited_under_the_same_name_are_refused(tmp_path, training):
    (rows := tmp_path / "rows.jsonl").write_text('{"prompt": "a", "completion": "b"}\n' * 4)
    words = ["--train_data", str(rows), "--model_config", "{}", "--max_steps", "3", "--steps_only"]
    plan = plan_of(tmp_path / "compared", *words, "--seeds", "1", config=[])
    (plan.folder / "settings").mkdir(parents=True)
    training()
    perform.perform(plan, 0)
    perform.check_known(plan)
    rows.write_text(rows.read_text().replace("b", "c"))
    more = plan_of(tmp_path / "compared", "--methods", "sft,lift3,mirror", *words, "--seeds", "1", config=[])
    for refused in (lambda: perform.check_known(more), lambda: perform.perform(more, 0)):
        with pytest.raises(LiftError, match=r"^train_data .*rows.jsonl is not what sft-seed-42 in .*compared has read"):
            refused()


def test_rows_that_are_edited_during_a_run_end_all_before_the_next(tmp_path, monkeypatch):
    (rows := tmp_path / "rows.jsonl").write_text('{"prompt": "a", "completion": "b"}\n' * 4)
    words = ["--train_data", str(rows), "--model_config", "{}", "--max_steps", "3", "--steps_only", "--seeds", "1"]
    plan, fake = plan_of(tmp_path / "compared", *words, config=[]), FakeTraining()
    (plan.folder / "settings").mkdir(parents=True)

    def edit_after(words, log, lock):
        rows.write_text(rows.read_text().replace("b", "c"))
        return fake(words, log, lock)

    monkeypatch.setattr(perform, "train_in_child", edit_after)
    with pytest.raises(LiftError, match=r"train_data .* is not what sft-seed-42"):
        perform.perform(plan, 0)
    assert len(fake.calls) == 1
