"""Sentences about what libraries raise."""

from __future__ import annotations

import errno
from importlib.metadata import PackageNotFoundError
from json import JSONDecodeError

import pytest

from lift.cli.failures import AFTER_FIRST_STEP, is_refusal, report, sentence_of
from lift.errors import LiftError


class OutOfMemoryError(RuntimeError):
    """As torch names its own."""


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (LiftError("as it is."), "as it is."),
        (FileNotFoundError(errno.ENOENT, "x", "a.json"), "a.json: No such file or directory: check the path."),
        (PermissionError(errno.EACCES, "x", "out"), "out: Permission denied: choose another place, or change its permissions."),
        (OSError(errno.ENOSPC, "x"), "No space left on device: free some space, or choose another place."),
        (OSError("We could not connect.\nTry again."), "We could not connect. LIFT_DEBUG=1 shows where."),
        (ModuleNotFoundError("x", name="datasets.features"), "datasets is not installed: pip install 'lift-kernels[train]'."),
        (ModuleNotFoundError("x", name="sentencepiece"), "sentencepiece is not installed: pip install sentencepiece."),
        (PackageNotFoundError("The 'apex>=1' distribution"), "PackageNotFoundError: No package metadata was found for The 'apex>=1' distribution. LIFT_DEBUG=1 shows where."),
        (RuntimeError("WandbCallback requires wandb. Run `pip install wandb`."), "WandbCallback requires wandb: pip install wandb. LIFT_DEBUG=1 shows where."),
        (ImportError("You need x: `pip install -U x`"), "You need x: `pip install -U x`. LIFT_DEBUG=1 shows where."),
        (ValueError("--a must be\n  b. And more."), "--a must be b. LIFT_DEBUG=1 shows where."),
        (KeyError("eval_accuracy"), "KeyError: 'eval_accuracy'. LIFT_DEBUG=1 shows where."),
        (AssertionError(), "AssertionError. LIFT_DEBUG=1 shows where."),
        (JSONDecodeError("Expecting value", "x", 0), "JSONDecodeError: Expecting value: line 1 column 1 (char 0). LIFT_DEBUG=1 shows where."),
        (MemoryError(), "out of memory: the machine has not enough. Lower --per_device_train_batch_size or --max_length, or pass --gradient_checkpointing true."),
        (OutOfMemoryError("CUDA out of memory. Tried to"), "out of memory: CUDA out of memory. Lower --per_device"),
    ],
    ids=lambda value: "" if isinstance(value, str) else type(value).__name__,
)  # fmt: skip
def test_the_thing_and_the_remedy_are_named(error, sentence):
    assert is_refusal(error) and sentence_of(error).startswith(sentence)


def test_a_long_message_is_cut():
    assert len(sentence_of(ValueError("x" * 10_000))) < 500


def test_what_came_too_late_and_what_we_lack_ourselves_is_not_refused():
    late = ValueError("x")
    late.add_note(AFTER_FIRST_STEP)
    assert not is_refusal(late)
    assert not is_refusal(ModuleNotFoundError("x", name="lift.gone"))
    assert not is_refusal(ModuleNotFoundError("x", name="lift_kernels"))
    told = LiftError("x")
    told.add_note(AFTER_FIRST_STEP)
    assert is_refusal(told)


def failing() -> LiftError:
    try:
        try:
            raise KeyError("the cause")
        except KeyError:
            raise LiftError("the sentence.") from None
    except LiftError as error:
        return error


@pytest.mark.parametrize("value", [None, "", "0", "1"])
def test_the_traceback_is_shown_where_it_is_asked_for_with_its_cause(monkeypatch, capsys, value):
    monkeypatch.delenv("LIFT_DEBUG", raising=False)
    if value is not None:
        monkeypatch.setenv("LIFT_DEBUG", value)
    report("lift x", failing())
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.endswith("lift x: the sentence.\n")
    if value == "1":
        assert shown.err.startswith("Traceback") and "KeyError: 'the cause'" in shown.err
    else:
        assert shown.err.count("\n") == 1
