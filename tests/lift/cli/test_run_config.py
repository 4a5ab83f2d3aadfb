"""config.yaml of a run: read again, it says the same, from any folder, and gives no secret away."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lift.cli.input_paths import PATHS
from lift.cli.run_config import command_line, config_text
from lift.cli.train_arguments import TrainArguments, check_quickly, parse
from lift.errors import LiftError
from lift.recipes import PRESETS, preset_names
from tests.lift.cli.support import preset_words

STARTS = [
    *(preset_words(name) for name in preset_names()),
    ["--task", "sudoku", "--model_config", '{"model_type": "bert"}'],
    ["--train_data", "none.jsonl", "--model_name_or_path", "none"],
]
FLAGS = [
    ["--method", "sft"], ["--max_steps", "7"], ["--max-step", "9"], ["--learning_rate=1e-6"], ["--weight_decay", "0"],
    ["--no_time_scaling"], ["--time-scaling", "false"], ["--packing"], ["--fixed_timestep", ".5"], ["--save_strategy", "no"],
    ["--eval_strategy=steps"], ["--eval_steps", "3"], ["--save_steps", "0.25"], ["--report_to", "none"], ["--run_name", "0123"],
    ["--run_name", "no"], ["--run_name", "~"], ["--run_name", "2020-01-01"], ["--run_name", "a: b # c\n- é\u2028\x07"],
    ["--run_name", ""], ["--lr_scheduler_kwargs", '{"num_cycles": 2}'], ["--lr_scheduler_kwargs", '{"num_cycles":2}'],
    ["--model_config", '{"model_type": "bert", "bos_token_id": null, "x": 1e-30}'], ["--seed", "3"], ["--bf16", "false"],
    ["--lora_target_modules", "q", "no", "1"], ["--completion_column", "on"], ["--train_data", "data.jsonl"],
    ["--logging_steps", "1e0"], ["--gradient_checkpointing", "true"], ["--eval_data", "x.jsonl"], ["--optim", "adamw_torch"],
]  # fmt: skip


def told(arguments: TrainArguments) -> list:
    config = arguments.config.to_dict()
    for name in ("output_dir", "logging_dir", "run_name"):  # transformers 4 makes the others of the first
        if str(config.get(name)).startswith(arguments.config.output_dir):
            config[name] = None
    return [arguments.model, arguments.data, arguments.run, arguments.task, config]


def again(arguments: TrainArguments, folder: Path) -> TrainArguments:
    file = folder / "config.yaml"
    file.write_text(config_text(arguments.settings, arguments.command), "utf-8")
    words = [str(file), "--output_dir", str(folder / "new")]
    read = parse(words)
    assert read.config.output_dir == str(folder / "new")
    try:
        check_quickly([*arguments.command, "--output_dir", str(folder / "new")])
    except LiftError:
        return read  # what the first stage refuses of the one, it may refuse of the other
    check_quickly(words)
    return read


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(STARTS), st.lists(st.sampled_from(FLAGS), max_size=5))
def test_read_again_it_gives_equal_arguments(start, flags):
    try:
        arguments = parse([*start, *(word for flag in flags for word in flag), "--output_dir", "none/out"])
    except LiftError:
        return
    with TemporaryDirectory() as folder:
        assert told(again(arguments, Path(folder))) == told(arguments)


@pytest.mark.parametrize(
    ("name", "word"),
    [
        *(("run_name", word) for word in ("a: b # c\n- é\u2028\x07'", "0123", "no", "~", "{", "", "2020-01-01", "caf\udce9")),
        *(("model_config", word) for word in ('{"model_type":"bert"}', '{"model_type": "bert", "x": [null, 1e-30, "no"]}')),
    ],
)  # fmt: skip
def test_a_word_comes_back_as_it_was_typed(tmp_path, name, word):
    start = ["--task", "sudoku"] if name == "model_config" else STARTS[1]
    arguments = parse([*start, f"--{name}={word}", "--output_dir", "none/out"])
    read = again(arguments, tmp_path)
    for group in ("config", "model"):
        if hasattr(getattr(arguments, group), name):
            assert getattr(getattr(read, group), name) == getattr(getattr(arguments, group), name) == word


def test_it_holds_what_preset_file_and_flags_say_and_nothing_else(tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text("warmup_steps: 7\nseed: null\n")
    command = [str(mine), "--preset", "gsm8k-minilm", "--no_time_scaling", "--max_grad", "2", "--logging_steps", "500"]
    arguments = parse([*command, "--output_dir", str(tmp_path / "out")])
    text = config_text(arguments.settings, arguments.command)
    kept = yaml.safe_load(text)
    preset = yaml.safe_load((PRESETS / "gsm8k-minilm.yaml").read_text("utf-8"))
    assert preset.pop("seed") == 42  # null in a file is the default
    assert kept == preset | {
        "warmup_steps": 7, "time_scaling": False, "max_grad_norm": 2, "logging_steps": 500, "output_dir": str(tmp_path / "out"),
        "train_data": [preset["train_data"]],
    }  # fmt: skip
    assert "logging_steps: 500\n" in text and "learning_rate: 0.0003\n" in text
    assert text.splitlines()[1] == f"#   lift train {' '.join(arguments.command)}"


def test_files_that_are_there_are_named_from_the_root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("model", "data", "sft"):
        Path(folder).mkdir()
    for name in ("data/a.jsonl", "data/b.jsonl", "ds.json"):
        Path(name).write_text("{}")
    given = {
        "method": "sft", "run_name": "model", "model_name_or_path": "model", "train_data": "data/*.jsonl", "eval_data": "openai/gsm8k",
        "tokenizer_name_or_path": "package:x/y", "fsdp_config": "ds.json", "output_dir": "out",
    }  # fmt: skip
    kept = yaml.safe_load(config_text(given, []))
    assert kept == given | {
        "model_name_or_path": str(tmp_path / "model"), "train_data": str(tmp_path / "data/*.jsonl"),
        "fsdp_config": str(tmp_path / "ds.json"), "output_dir": str(tmp_path / "out"),
    }  # fmt: skip
    several = yaml.safe_load(config_text({"output_dir": "out", "train_data": ["data/a.jsonl", "none"]}, []))
    assert several["train_data"] == [str(tmp_path / "data/a.jsonl"), "none"]
    of_tasks = yaml.safe_load(config_text({"output_dir": "out", "eval_task_files": ["a=ds.json", "b=none"]}, []))
    assert of_tasks["eval_task_files"] == [f"a={tmp_path / 'ds.json'}", "b=none"]
    assert len(set(PATHS)) == len(PATHS)


def test_task_files_among_the_tasks_are_named_from_the_root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gsm8k").mkdir()
    (tmp_path / "mine.yaml").write_text("task: mine")
    given = {
        "output_dir": "out", "eval_tasks": "gsm8k, mine.yaml,none.yaml", "eval_task_files": ["mine.yaml=none", "gsm8k=mine.yaml"],
    }  # fmt: skip
    kept = yaml.safe_load(config_text(given, []))
    assert kept["eval_tasks"] == f"gsm8k,{tmp_path / 'mine.yaml'},none.yaml"
    assert kept["eval_task_files"] == [f"{tmp_path / 'mine.yaml'}=none", f"gsm8k={tmp_path / 'mine.yaml'}"]


@pytest.mark.parametrize("resume", ["true", "out", "out/checkpoint-3", "other/checkpoint-3"])
def test_how_a_start_treats_its_folder_is_no_part_of_the_run(tmp_path, monkeypatch, resume):
    monkeypatch.chdir(tmp_path)
    given = {"overwrite_output_dir": True, "local_rank": 1, "resume_from_checkpoint": resume, "output_dir": "out"}
    kept = yaml.safe_load(config_text(given, []))
    elsewhere = {"resume_from_checkpoint": str(tmp_path / resume)} if resume.startswith("other") else {}
    assert kept == elsewhere | {"output_dir": str(tmp_path / "out")}


@pytest.mark.parametrize("flag", [["--hub_token", "hf_x"], ["--hub-token=hf_x"], ["--hub_tok", "hf_x"]])
def test_tokens_of_the_hub_stay_out(flag):
    command = ["--hub_model_id", "me/it", *flag, "--seed", "1"]
    text = config_text({"hub_token": "hf_x", "hub_model_id": "me/it", "output_dir": "out"}, command)
    assert "hf_x" not in text and "***" in text and "--seed 1" in text and "me/it" in text


def test_a_mapping_is_written_as_one_and_the_command_can_be_pasted():
    assert "model_config:\n  model_type: bert\n" in config_text(
        {"model_config": '{"model_type": "bert"}', "output_dir": "o"}, []
    )
    words = ["--model_config", json.dumps({"a": "b c"}), "--run_name", "it's"]
    assert command_line(words) == """lift train --model_config '{"a": "b c"}' --run_name 'it'"'"'s'"""
