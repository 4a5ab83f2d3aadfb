"""Which runs there are, and what each is told."""

from __future__ import annotations

from lift.cli.comparison.runs import run_folder
from tests.lift.cli.comparison.support import plan_of

OWN = ["--model_name_or_path", "base", "--train_data", "none.jsonl"]


def test_the_runs_of_a_seed_stand_together_and_differ_in_method_and_length_alone(tmp_path):
    plan = plan_of(tmp_path, "--seeds", "2", "--max_steps", "50")
    assert [run.name for run in plan.runs] == [
        f"{arm}-seed-{seed}" for seed in (42, 43) for arm in ("sft", "lift3", "sft-x1.22")
    ]  # fmt: skip
    sft, lift3, longer = (dict(run.settings) for run in plan.runs[:3])
    assert [one.pop("output_dir") for one in (sft, lift3, longer)] == [
        str(run_folder(tmp_path, r.name)) for r in plan.runs[:3]
    ]
    assert [one.pop("method") for one in (sft, lift3, longer)] == ["sft", "lift3", "sft"]
    assert [one.pop("max_steps") for one in (sft, lift3, longer)] == [50, 50, 61]
    assert sft == lift3 == longer and sft["seed"] == 42 and sft["disable_tqdm"] is True
    assert plan.runs[3].settings["seed"] == 43


def test_passes_are_made_longer_where_no_steps_are_given(tmp_path):
    plan = plan_of(tmp_path, "--seeds", "1", "--num_train_epochs", "2", config=OWN)
    assert [run.settings["num_train_epochs"] for run in plan.runs] == [2, 2, 2.44]
    assert all("max_steps" not in run.settings for run in plan.runs)


def test_a_half_way_start_is_plain_sft_for_each_seed_in_another_order(tmp_path):
    plan = plan_of(tmp_path, "--methods", "lift3:one_forward=true,hard", "--seeds", "2", "--start_steps", "7")
    starts = [run for run in plan.runs if not run.arm]
    assert [(run.name, run.settings["seed"]) for run in starts] == [("start-seed-42", 42), ("start-seed-43", 43)]
    first = starts[0].settings
    assert (first["method"], first["max_steps"]) == ("sft", 7) and "model_config" in first
    assert "one_forward" not in first and first["data_seed"] not in (42, 43)
    for run in plan.runs:
        if run.arm:
            assert run.start == run_folder(tmp_path, f"start-seed-{run.seed}")
            assert run.settings["model_name_or_path"] == str(run.start) and "model_config" not in run.settings
            assert "data_seed" not in run.settings


def test_a_given_start_takes_the_place_of_the_configurations_model(tmp_path):
    for config in (OWN, None):
        words = ["--start", "half-way", "--seeds", "1"]
        plan = plan_of(tmp_path, *words) if config is None else plan_of(tmp_path, *words, config=config)
        assert {run.settings["model_name_or_path"] for run in plan.runs} == {"half-way"}
        assert not any("model_config" in run.settings for run in plan.runs)
