"""The command `lift`: its subcommands, exit status, and what a process loads before it answers."""

from __future__ import annotations

import subprocess
import sys

import pytest

import lift_kernels
from lift.cli import main
from tests.lift.cli.support import heavy_imports


def test_help_lists_the_commands(capsys):
    assert main([]) == main(["--help"]) == main(["-h"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("commands:") == 3
    for command in ("train", "sample", "merge", "presets", "methods", "doctor"):
        assert f"\n  {command} " in shown


def test_the_version_is_the_packages(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"lift-kernels {lift_kernels.__version__}\n"


def test_a_checkout_that_is_not_installed_has_a_version_too(capsys, monkeypatch):
    from importlib import metadata

    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"lift-kernels {lift_kernels.__version__}\n"


def test_an_unknown_command_is_refused(capsys):
    assert main(["trian"]) == 2
    assert capsys.readouterr().err.startswith("lift: unknown command 'trian': use one of train")


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (
            ModuleNotFoundError("no", name="transformers"),
            2,
            "transformers is not installed: pip install 'lift-kernels[train]'",
        ),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_what_a_command_raises_becomes_an_exit_status(monkeypatch, capsys, error, status, words):
    def fail(arguments):
        raise error

    monkeypatch.setattr("lift.cli.doctor.run", fail)
    assert main(["doctor"]) == status
    assert words in capsys.readouterr().err


def test_a_bug_is_not_hidden(monkeypatch):
    def fail(arguments):
        raise ModuleNotFoundError("no", name="lift.gone")

    monkeypatch.setattr("lift.cli.doctor.run", fail)
    with pytest.raises(ModuleNotFoundError):
        main(["doctor"])


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["--help"], 0),
        (["--version"], 0),
        (["presets"], 0),
        (["methods"], 0),
        (["train", "--help"], 0),
        (["train", "--help-all"], 0),
        (["train", "--preset", "sudoku", "-h"], 0),
        (["train", "--lerning_rate", "1"], 2),
        (["train", "--preset", "sudoku", "--output_dir", "x", "--method", "y"], 2),
        (["presets", "all"], 2),
        (["sample", "--steps", "many"], 2),
        (["merge", "--base", "x"], 2),
    ],
    ids=str,
)
def test_an_answer_that_needs_no_model_loads_no_library(words, status):
    assert not heavy_imports(f"from lift.cli import main\nassert main({words!r}) == {status}")


def test_as_a_real_process(tmp_path):
    call = [sys.executable, "-m", "lift.cli", "train", "--preset", "sudoku", "--output_dir", str(tmp_path / "out")]
    for flags, sentence in (
        (["--method", "x"], "method must be one of sft, lift2, lift3, gift, cart, easy, middle, hard, got 'x'."),
        (["--lerning-rate=1"], "unknown argument '--lerning-rate', did you mean '--learning-rate'?"),
        (["--optim", "x"], "--optim must be one of "),  # which only transformers itself knows
    ):
        result = subprocess.run([*call, *flags], capture_output=True, text=True, check=False)
        assert (result.returncode, result.stdout) == (2, "")
        assert result.stderr.startswith(f"lift train: {sentence}") and result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
