"""Every command `lift` in the documentation is understood, and every flag that it names exists."""

from __future__ import annotations

import io
import re
import shutil
from contextlib import redirect_stdout, suppress
from pathlib import Path

import pytest

from lift.cli import _COMMANDS, analyze_arguments, eval, main, sample, train_arguments
from lift.cli.sampling_flags import sampling_config
from lift.cli.yaml_flags import read_options
from tests.docs.pages import ROOT, blocks, commands, documents, prose

COMMANDS = [
    pytest.param(words, id=f"{document}: {' '.join(words)}"[:90])
    for document in documents()
    for words in commands(document)
]
# Of accelerate, torchrun and lm-eval.
FOREIGN = {"config_file", "metadata", "model_args", "nproc_per_node", "num_processes", "use_cache"}
# Pages with flags of benchmarks, and one whose tables are looked at column by column.
APART = {"gpu_measurements", "gpu_predictions", "machine_code", "performance", "migration"}
PAGES = [path for path in documents() if path.parts[0] == "docs" and path.stem not in APART]


@pytest.fixture(scope="module")
def flags() -> dict[str, set[str]]:
    """The flags of each command, as its help lists them."""
    found = {}
    for command in _COMMANDS:
        with redirect_stdout(io.StringIO()) as shown, suppress(SystemExit):
            main([command, "--help-all" if command == "train" else "--help"])
        found[command] = set(re.findall(r"--(\w+)", shown.getvalue()))
    return found


def typed_flags(words: list[str]) -> set[str]:
    return {word.partition("=")[0].removeprefix("--") for word in words if word.startswith("--")}


@pytest.mark.parametrize("words", COMMANDS)
def test_a_command_is_understood(words, tmp_path, monkeypatch, flags):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(train_arguments, "check_requirements", lambda values: None)  # what is not installed here
    command, *rest = words
    shutil.copy(ROOT / "tests/lift/support/time_density.json", "density.json")
    for word in rest:
        if word.endswith(".yaml") and "=" not in word:
            Path(word).parent.mkdir(parents=True, exist_ok=True)
            Path(word).write_text(
                "model_name_or_path: mine\ntrain_data: rows.jsonl\n" if command != "sample" else "seed: 1\n"
            )
    parsed_here = ("train", "sample", "eval", "analyze")
    is_cut = any(word == "..." and not before.startswith("--") for before, word in zip(words, rest, strict=False))
    if command not in parsed_here or is_cut:
        handed_on = flags["train"] if command == "compare" else set()
        assert typed_flags(rest) <= flags[command] | handed_on
    elif command == "train":
        train_arguments.check_quickly(without_resume(rest))
    elif command == "analyze":
        analyze_arguments.parse(rest)
    else:
        parser = {"sample": sample, "eval": eval}[command]._parser()
        rest = [word for word in rest if command == "sample" or not word.endswith(".yaml")]
        required = ["--model", "m", "--tasks", "gsm8k", "--output_dir", "o"] if command == "eval" else []
        sampling_config(read_options(parser, [*required, *rest]), {})


def without_resume(words: list[str]) -> list[str]:
    """Leave out what looks for a checkpoint."""
    at = words.index("--resume_from_checkpoint") if "--resume_from_checkpoint" in words else len(words)
    return words[:at] + words[at + 2 :]


def test_there_are_commands():
    assert len(COMMANDS) > 40 and {param.values[0][0] for param in COMMANDS} >= {"train", "sample", "eval", "analyze"}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_a_flag_that_is_named_exists(page, flags):
    named = {flag for code in re.findall(r"`([^`]+)`", prose(page)) for flag in re.findall(r"(?<![\w-])--(\w+)", code)}
    assert named <= set().union(*flags.values(), FOREIGN)


def test_what_the_published_flags_became_exists(flags):
    sections = re.split(r"^## ", (ROOT / "docs/migration.md").read_text("utf-8"), flags=re.MULTILINE)[1:]
    command_of = {"Training": "train", "Merging": "merge", "Evaluation": "eval", "Token": "analyze"}
    seen = 0
    for section in sections:
        command = command_of.get(re.match(r"\w+", section)[0])
        for row in re.findall(r"^\| (.*) \|$", section, re.MULTILINE) if command else ():
            _, ours, *_ = row.split(" | ")
            named = set(re.findall(r"--(\w+)", ours))
            assert named <= flags[command], row
            seen += len(named)
    assert seen > 50


def test_a_shell_is_named_where_its_commands_are_run():
    """The blocks that name a language are those that test_quick_start.py runs."""
    assert [page for page in documents() if blocks(page, "shell", "bash", "sh")] == [Path("docs/index.md")]
