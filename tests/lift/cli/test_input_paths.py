"""What a run reads, by the flags that name it."""

from __future__ import annotations

import dataclasses

from lift.cli.arguments import DataArguments, ModelArguments
from lift.cli.input_paths import PATHS, input_paths


def test_files_folders_and_patterns_are_found_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("a.jsonl", "b.jsonl", "mine.yaml", "gsm.jsonl", "task.yaml"):
        (tmp_path / name).touch()
    settings = {
        "model_name_or_path": str(tmp_path), "tokenizer_name_or_path": "org/on-the-hub", "eval_data": None,
        "train_data": [str(tmp_path / "*.jsonl"), "~/a.jsonl"], "chat_template": "{{ text }}" * 5000, "deepspeed": "{}",
        "eval_task_files": [f"lift_gsm8k={tmp_path / 'gsm.jsonl'}"], "time_density": "a\0b", "output_dir": str(tmp_path),
        "eval_tasks": f"countdown, {tmp_path / 'task.yaml'}", "test_puzzles": "",
    }  # fmt: skip
    found = list(input_paths(settings, [str(tmp_path / "mine.yaml"), "--seed", "1"]))
    assert sorted((name, path.name) for name, path in found) == sorted(
        [
            ("model_name_or_path", tmp_path.name), ("train_data", "a.jsonl"), ("train_data", "b.jsonl"),
            ("train_data", "gsm.jsonl"), ("train_data", "a.jsonl"), ("eval_task_files", "gsm.jsonl"),
            ("the configuration", "mine.yaml"), ("eval_tasks", "task.yaml"),
        ]
    )  # fmt: skip
    assert not list(input_paths({}, [])) and not list(input_paths({}, ["--seed", "1"]))


def test_they_are_fields():
    fields = {field.name for group in (ModelArguments, DataArguments) for field in dataclasses.fields(group)}
    assert set(PATHS) - fields == {"test_puzzles", "time_density", "deepspeed", "fsdp_config", "accelerator_config"}
