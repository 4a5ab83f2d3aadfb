"""From a command to a plan: arms, costs, and what cannot be compared."""

from __future__ import annotations

import json

import huggingface_hub
import pytest

from lift.cli.comparison.options import read_options
from lift.cli.comparison.plan import make_plan
from lift.errors import LiftError
from tests.lift.cli.comparison.support import CONFIG, plan_of

OWN = ["--model_name_or_path", "none", "--train_data", "none.jsonl"]


def test_arms_and_costs_follow_from_methods_and_settings(tmp_path):
    plan = plan_of(tmp_path, "--methods", "sft,lift3,hard,lift3:one_forward=true", "--seeds", "2", "--seed", "5")
    assert [arm.name for arm in plan.arms] == [
        "sft",
        "lift3",
        "hard",
        "lift3:one_forward=true",
        "sft x1.22",
        "sft x1.33",
    ]
    assert plan.equal_compute == {"lift3": "sft x1.22", "hard": "sft x1.33"} and plan.forward_share == 1 / 3
    assert plan.costs["lift3"] == pytest.approx(11 / 9, abs=1e-3) and plan.costs["sft x1.22"] == 1
    assert plan.seeds == [5, 6] and plan.task == "sudoku" and plan.has_common_loss and plan.folder == tmp_path
    settings = {run.name: run.settings for run in plan.runs}
    assert settings["lift3-one_forward=true-seed-6"]["one_forward"] is True
    assert "one_forward" not in settings["sft-seed-6"]


def test_steps_alone_need_no_longer_runs(tmp_path):
    plan = plan_of(tmp_path, "--steps_only")
    assert [arm.name for arm in plan.arms] == ["sft", "lift3"] and plan.equal_compute == {}


@pytest.mark.parametrize(
    ("flags", "share"),
    [(["--use_peft", "true"], 1 / 2), (["--gradient_checkpointing", "true"], 1 / 4), (["--use_peft", "true", "--gradient_checkpointing", "true"], 1 / 3)],
)  # fmt: skip
def test_what_a_forward_is_of_a_step_follows_from_what_is_trained(tmp_path, flags, share):
    pytest.importorskip("peft")
    assert plan_of(tmp_path, *flags, config=OWN).forward_share == share


def test_the_folder_may_stand_in_the_configuration(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text(f"train_data: none.jsonl\nmodel_name_or_path: none\noutput_dir: {tmp_path / 'out'}\nmethod: gift\n")
    plan = make_plan(*read_options(["--methods", "sft,cart", "--seeds", "1", str(file)]))
    assert plan.folder == tmp_path / "out" and [run.settings["method"] for run in plan.runs] == ["sft", "cart"]


@pytest.mark.parametrize(
    ("words", "config", "sentence"),
    [
        (["--one_forward", "true"], CONFIG, "^sft: one_forward belongs to the methods that select tokens"),
        (["--early_stopping_patience", "2"], OWN, "early_stopping_patience ends runs after different steps"),
        (["--resume_from_checkpoint", "true"], CONFIG, "resume_from_checkpoint is what the comparison does by itself"),
        (["--push_to_hub", "true", "--hub_token", "x"], CONFIG, "push_to_hub would push every run"),
        (["--eval_loss", "train"], OWN, "another loss for each method"),
        (["--learning_rats", "1"], CONFIG, "unknown argument '--learning_rats', did you mean '--learning_rate'"),
        (["--start_steps", "2", "--use_peft", "true"], OWN, "start_steps would start from an adapter"),
    ],
)
def test_what_cannot_be_compared_is_refused(tmp_path, monkeypatch, words, config, sentence):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(LiftError, match=sentence):
        plan_of(tmp_path, *words, config=config)


@pytest.mark.parametrize("methods", ["sft,puma", "puma,puma:puma_phases=4"])
def test_a_pool_is_compared_by_steps_as_its_epochs_are_longer(tmp_path, methods):
    words, by_epochs = ["--methods", methods], [*OWN, "--num_train_epochs", "2"]
    with pytest.raises(LiftError, match=r"an epoch of puma has 8 steps .*: pass --max_steps"):
        plan_of(tmp_path, *words, config=by_epochs)
    plan = plan_of(tmp_path, *words, "--max_steps", "6", config=by_epochs)
    assert {run.settings["max_steps"] for run in plan.runs} == {6}
    plan_of(tmp_path, "--methods", "puma,puma:puma_threshold=0.9", config=by_epochs)


def test_answers_judge_where_methods_have_losses_of_their_own(tmp_path):
    assert not plan_of(tmp_path, "--eval_loss", "train").has_common_loss


def test_a_command_without_a_folder_is_refused():
    with pytest.raises(LiftError, match="no output folder: pass --output_dir"):
        make_plan(*read_options(["--methods", "sft,lift3", *CONFIG]))


def test_settings_are_what_yaml_can_hold(tmp_path):
    for run in plan_of(tmp_path).runs:
        assert json.dumps(run.settings, default=str)
