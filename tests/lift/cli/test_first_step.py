"""What a run that fails leaves, before its first step and after it."""

from __future__ import annotations

import pytest

from lift.cli.failures import is_refusal
from lift.cli.first_step import first_step


def test_before_the_first_step_nothing_stays_that_the_run_made(tmp_path):
    with pytest.raises(ValueError, match="x") as error, first_step(tmp_path / "a" / "b"):
        (tmp_path / "a" / "b").mkdir(parents=True)
        raise ValueError("x")
    assert is_refusal(error.value) and tmp_path.exists() and not list(tmp_path.iterdir())


def test_what_was_there_or_holds_something_stays(tmp_path):
    (tmp_path / "old").mkdir()
    with pytest.raises(ValueError, match="x"), first_step(tmp_path / "old"):
        raise ValueError("x")
    with pytest.raises(KeyboardInterrupt), first_step(tmp_path / "new" / "run"):
        (tmp_path / "new" / "run").mkdir(parents=True)
        (tmp_path / "new" / "file").touch()
        raise KeyboardInterrupt
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "new", "old"]


def test_after_the_first_step_all_stays_and_the_exception_is_no_refusal(tmp_path):
    with pytest.raises(ValueError, match="x") as error, first_step(tmp_path / "out") as watch:
        (tmp_path / "out").mkdir()
        watch.on_step_end(None, None, None)
        raise ValueError("x")
    assert not is_refusal(error.value) and (tmp_path / "out").is_dir()


def test_a_run_that_succeeds_is_left_alone(tmp_path):
    with first_step(tmp_path / "out"):
        (tmp_path / "out").mkdir()
    assert (tmp_path / "out").is_dir()
