"""The run that a new one replaces: where it is before and after the first step, and after a kill."""

from __future__ import annotations

import os
import shutil

import pytest

from lift.cli.output_folder import where_to_start
from lift.cli.replaced_run import ReplacedRun
from lift.errors import Interrupted, LiftError


def a_run(folder, text="old"):
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(text)
    return folder


def files(folder):
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("error", [ValueError("x"), LiftError("x."), Interrupted(15), KeyboardInterrupt()])
def test_a_run_that_fails_before_its_first_step_gives_it_back(tmp_path, error):
    out = a_run(tmp_path / "out")
    out.chmod(0o750)
    with pytest.raises(type(error)), ReplacedRun(out).kept_until_first_step(is_asked=True):
        assert not list(out.iterdir()) and out.stat().st_mode & 0o777 == 0o750
        (out / "config.yaml").write_text("new")
        raise error
    assert files(tmp_path) == {"out/metrics.json": "old"}


def test_after_the_first_step_it_is_gone_whatever_comes(tmp_path):
    out = a_run(tmp_path / "out")
    replaced = ReplacedRun(out)
    with pytest.raises(ValueError, match="x"), replaced.kept_until_first_step(is_asked=True):
        (out / "metrics.json").write_text("new")
        assert files(tmp_path)[".out.replaced/metrics.json"] == "old"
        for _ in range(2):
            replaced.on_step_end()
            assert os.listdir(tmp_path) == ["out"]
        raise ValueError("x")
    assert files(tmp_path) == {"out/metrics.json": "new"}


def test_a_run_that_ends_without_a_step_replaces_it_too(tmp_path):
    out = a_run(tmp_path / "out")
    with ReplacedRun(out).kept_until_first_step(is_asked=True):
        (out / "metrics.json").write_text("new")
    assert files(tmp_path) == {"out/metrics.json": "new"}


def test_nothing_is_moved_where_that_is_not_asked_or_nothing_is_there(tmp_path):
    out = a_run(tmp_path / "out")
    for folder, is_asked in ((out, False), (tmp_path / "new", True)):
        with ReplacedRun(folder).kept_until_first_step(is_asked=is_asked):
            assert files(tmp_path) == {"out/metrics.json": "old"}
    assert os.listdir(tmp_path) == ["out"]


def test_the_folder_behind_a_link_is_replaced_and_the_link_stays(tmp_path):
    a_run(tmp_path / "disk" / "big")
    link = tmp_path / "out"
    link.symlink_to(tmp_path / "disk" / "big")
    with ReplacedRun(link).kept_until_first_step(is_asked=True):
        assert not list(link.iterdir())
        (link / "metrics.json").write_text("new")
    assert link.is_symlink() and files(tmp_path / "disk") == {"big/metrics.json": "new"}


def test_a_folder_that_cannot_be_moved_stays(tmp_path, monkeypatch):
    out = a_run(tmp_path / "out")

    def busy(*names):
        raise OSError(16, os.strerror(16))

    monkeypatch.setattr(os, "replace", busy)  # as of a mount point
    with (
        pytest.raises(LiftError, match=r"out cannot be moved to .*\.out\.replaced, .*busy: empty it yourself"),
        ReplacedRun(out).kept_until_first_step(is_asked=True),
    ):
        pass
    assert files(tmp_path) == {"out/metrics.json": "old"}


def killed(tmp_path):
    """What a start leaves that was killed before its first step."""
    a_run(tmp_path / ".out.replaced")
    out = tmp_path / "out"
    out.mkdir()
    for name in ("config.yaml", "environment.json"):
        (out / name).write_text("killed")
    return out


@pytest.mark.parametrize("resume", [None, "true"])
def test_after_a_kill_the_next_start_says_where_it_is(tmp_path, resume):
    out = killed(tmp_path)
    words = r"\.out\.replaced holds the run that was to be replaced .* rename it to .*out, in place of what is there"
    with pytest.raises(LiftError, match=words):
        where_to_start(out, resume_from=resume, may_overwrite=resume is not None)
    (out / "checkpoint-3").mkdir()  # somebody has trained there meanwhile: nothing may be deleted
    with pytest.raises(LiftError, match=words):
        where_to_start(out, resume_from=None, may_overwrite=True)


@pytest.mark.parametrize("has_folder", [True, False])
def test_after_a_kill_one_that_replaces_it_goes_on(tmp_path, has_folder):
    out = killed(tmp_path)
    if not has_folder:  # it was killed between the two
        shutil.rmtree(out)
    assert where_to_start(out, resume_from="false", may_overwrite=True) is None
    with pytest.raises(ValueError, match="x"), ReplacedRun(out).kept_until_first_step(is_asked=True):
        assert not list(out.iterdir())
        raise ValueError("x")
    assert files(tmp_path) == {"out/metrics.json": "old"}


def test_half_of_a_deleted_run_is_deleted_by_the_next(tmp_path):
    out = a_run(tmp_path / "out")
    a_run(tmp_path / ".out.deleted", "half")
    with ReplacedRun(out).kept_until_first_step(is_asked=True):
        pass
    assert files(tmp_path) == {}


def test_one_that_cannot_be_deleted_does_not_stop_the_new_one(tmp_path, monkeypatch, caplog):
    out = a_run(tmp_path / "out")

    def fail(path, **kwargs):
        raise OSError(16, os.strerror(16), str(path))

    replaced = ReplacedRun(out)
    with replaced.kept_until_first_step(is_asked=True):
        monkeypatch.setattr(shutil, "rmtree", fail)
        replaced.on_step_end()
    assert "could not be deleted" in caplog.text and ".out.deleted" in caplog.text
