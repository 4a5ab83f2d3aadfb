"""The help of `lift train`: true, complete, grouped, and as wide as the terminal."""

from __future__ import annotations

import dataclasses
import re

import pytest

from lift.cli.arguments import DataArguments, ModelArguments, RunArguments
from lift.cli.settings import take_settings
from lift.cli.train_arguments import check_quickly
from lift.cli.train_help import show_help
from lift.objectives import METHODS
from lift.recipes import preset_summaries
from lift.tasks import TASKS, task_arguments
from lift.training import LiftConfig

FLAG = re.compile(r"^  --(\w+)", re.MULTILINE)
SHORT_GROUPS = ["model", "data", "LIFT", "LoRA", "run", "presets", "examples"]


def shown(capsys, **options) -> str:
    show_help(**options)
    return capsys.readouterr().out


def default_of(text: str, flag: str) -> str | None:
    entry = " ".join(text.partition(f"  --{flag} ")[2].partition("\n  --")[0].partition("\n\n")[0].split())
    found = re.search(r"\(default: (.*?)\)$", entry)
    return found and found[1]


def test_the_short_help_has_20_flags_in_groups_with_presets_and_examples(capsys):
    text = shown(capsys)
    flags = FLAG.findall(text)
    assert len(flags) == len(set(flags)) == 20
    assert re.findall(r"^(\w+):$", text, re.MULTILINE) == SHORT_GROUPS
    assert {"model_name_or_path", "train_data", "task", "method", "use_peft", "output_dir", "learning_rate"} <= set(
        flags
    )
    words = " ".join(text.split())
    assert all(f"{name} {summary}" in words for name, summary in preset_summaries().items())
    assert all(name in words for name in (*METHODS, *TASKS))
    assert len(text.splitlines()) < 90 and "--help-all" in text and "lift methods" in text


def test_every_flag_stands_once_in_the_whole_help_and_a_tasks_with_its_task(capsys):
    groups = [ModelArguments, DataArguments, RunArguments, LiftConfig]
    names = {field.name for group in groups for field in dataclasses.fields(group) if field.init}
    of_tasks = [field.name for task in TASKS for field in dataclasses.fields(task_arguments(task))]
    flags = FLAG.findall(shown(capsys, everything=True))
    assert sorted(flags) == sorted([*names, *of_tasks])


@pytest.mark.parametrize("everything", [False, True])
def test_defaults_are_those_of_the_classes(capsys, everything):
    text = shown(capsys, everything=everything)
    fields = {f.name: f for group in (ModelArguments, DataArguments, LiftConfig) for f in dataclasses.fields(group)}
    num_compared = 0
    for name in FLAG.findall(text):
        default = fields[name].default if name in fields else dataclasses.MISSING
        if isinstance(default, (bool, int, float, str)) and default != "" and name != "optim":
            assert default_of(text, name) == (str(default).lower() if isinstance(default, bool) else str(default)), name
            num_compared += 1
    assert num_compared > (100 if everything else 8)


def test_values_are_shown_as_they_are_typed(capsys):
    text = shown(capsys, everything=True)
    for entry in (
        "--truncation right|filter", "--max_length INT", "--cart_p NUMBER", "--use_peft [BOOL]", "--method TEXT",
        "--lora_target_modules TEXT ...", "--num_test_puzzles INT", "--dtype float32|bfloat16|float16|auto",
        "--max_train_rows INT", "--disable_tqdm [BOOL]",
    ):  # fmt: skip
        assert f"  {entry}\n" in text or f"  {entry} " in text, entry
    assert "%%" not in text


def test_no_line_is_wider_than_the_terminal(capsys, columns):
    allowed = {60: 80, 80: 80, 200: 100}[columns]  # the examples are shown as they are typed
    assert max(len(line) for line in shown(capsys).splitlines()) <= allowed
    text = shown(capsys, everything=True).partition("\nexamples:")[0]
    assert max(len(line) for line in text.splitlines() if not line.startswith("  --")) <= max(min(columns, 100), 72)


def test_the_examples_are_accepted(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("task: sudoku\nmodel_name_or_path: m\n")
    text = shown(capsys).partition("examples:\n")[2].partition("\n\n")[0].replace("\\\n", " ")
    examples = [line.split() for line in text.splitlines()]
    assert len(examples) == 4
    for command, subcommand, *words in examples:
        assert (command, subcommand) == ("lift", "train")
        check_quickly(words)
    assert take_settings(examples[0][2:])[1]  # the first needs nothing but the package


def test_without_readable_transformers_the_rest_is_shown(capsys, monkeypatch):
    monkeypatch.setattr("lift.cli.train_help.training_arguments", lambda: None)
    assert "--method" in shown(capsys) and "--gift_fallback" in shown(capsys, everything=True)
    assert "--learning_rate" not in FLAG.findall(shown(capsys, everything=True))
