"""The command `lift`: its subcommands, exit status, and what a process loads before it answers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import lift_kernels
from lift.cli import main
from lift.errors import Interrupted
from tests.lift.cli.support import heavy_imports


def test_help_lists_the_commands(capsys):
    assert main([]) == main(["--help"]) == main(["-h"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("commands:") == 3
    for command in "train sample eval analyze measure-t compare merge presets methods doctor".split():
        assert f"\n  {command} " in shown
    assert max(map(len, shown.splitlines())) <= 80


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
        (Interrupted(signal.SIGINT), 130, ""),
        (Interrupted(signal.SIGTERM), 143, ""),
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
        (
            ["--method", "x"],
            "method must be one of sft, lift2, lift3, gift, cart, ppots, mirror, blockwise, confidence, puma, margin, easy, middle, hard, got 'x'.",
        ),
        (["--lerning-rate=1"], "unknown argument '--lerning-rate', did you mean '--learning-rate'?"),
        (["--optim", "x"], "--optim must be one of "),  # which only transformers itself knows
    ):
        result = subprocess.run([*call, *flags], capture_output=True, text=True, check=False)
        assert (result.returncode, result.stdout) == (2, "")
        assert result.stderr.startswith(f"lift train: {sentence}") and result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def run_with_output(output: int, *words: str, unbuffered: str = "") -> tuple[int, str]:
    """Status and stderr of a process that writes to `output`.

    Python writes a short text when it ends or, unbuffered, when it is printed.
    """
    call = [sys.executable, "-m", "lift.cli", *words]
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    result = subprocess.run(call, stdout=output, stderr=subprocess.PIPE, text=True, check=False, env=environment)
    return result.returncode, result.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", [["--help"], ["train", "--help-all"]], ids=" ".join)
def test_a_reader_that_leaves_ends_it_in_silence(words, unbuffered):
    read, write = os.pipe()
    os.close(read)
    assert run_with_output(write, *words, unbuffered=unbuffered) == (141, "")
    os.close(write)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", [["--help"], ["train", "--help-all"]], ids=" ".join)
def test_an_output_that_cannot_be_written_is_one_sentence(words, unbuffered):
    with Path("/dev/full").open("w") as full:
        status, shown = run_with_output(full.fileno(), *words, unbuffered=unbuffered)
    assert status == 2 and shown.count("\n") == 1 and "No space left on device" in shown


@pytest.mark.parametrize(("words", "status"), [("--help", 0), ("nonsense", 2)])
def test_closed_output_is_nobodys_business(words, status):
    call = f"{sys.executable} -m lift.cli {words} >&- 2>&-"
    assert subprocess.run(["bash", "-c", call], check=False).returncode == status


def test_what_a_library_raises_is_one_sentence_and_a_traceback_where_asked_for(monkeypatch, capsys):
    def fail(arguments):
        raise RuntimeError("no such device. Buy one.")

    monkeypatch.setattr("lift.cli.doctor.run", fail)
    monkeypatch.delenv("LIFT_DEBUG", raising=False)
    assert main(["doctor"]) == 2
    assert capsys.readouterr().err == "lift doctor: no such device. LIFT_DEBUG=1 shows where.\n"
    monkeypatch.setenv("LIFT_DEBUG", "1")
    assert main(["doctor"]) == 2
    assert "Traceback" in capsys.readouterr().err
