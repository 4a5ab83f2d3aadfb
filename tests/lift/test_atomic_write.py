"""Files and folders that a reader finds whole or not at all."""

from __future__ import annotations

import os
import stat

import pytest

from lift.atomic_write import apply_umask, atomic_folder, atomic_write, check_atomic_write, drop_torn_line


def test_a_file_appears_whole_at_the_end(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with atomic_write(path) as file:
        file.write(b"new, ")
        file.flush()
        assert path.read_bytes() == b"old"
        file.write(b"whole")
    assert path.read_bytes() == b"new, whole" and list(tmp_path.iterdir()) == [path]


def test_the_disk_has_the_bytes_before_they_get_the_name(tmp_path, monkeypatch):
    path, synced = tmp_path / "file", []
    path.write_bytes(b"old")

    def sync(_descriptor: int) -> None:
        (beside,) = (other for other in tmp_path.iterdir() if other != path)
        synced.append((beside.read_bytes(), path.read_bytes()))

    monkeypatch.setattr(os, "fsync", sync)
    with atomic_write(path) as file:
        file.write(b"new")
    assert synced == [(b"new", b"old")] and path.read_bytes() == b"new"


def test_whether_a_file_can_be_written_is_tried_and_leaves_nothing(tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    for name in ("file", "new"):
        check_atomic_write(tmp_path / name)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]
    for path in (tmp_path / "none" / "file", tmp_path / "file" / "file"):
        with pytest.raises(OSError, match=r"\.file"):
            check_atomic_write(path)


@pytest.mark.parametrize(
    ("content", "whole"), [(b"", b""), (b"a\nb\n", b"a\nb\n"), (b"a\nhalf", b"a\n"), (b"half", b"")]
)
def test_a_torn_line_is_cut_and_whole_ones_stay(tmp_path, content, whole):
    path = tmp_path / "lines"
    path.write_bytes(content)
    assert drop_torn_line(path) == len(content) - len(whole) and path.read_bytes() == whole


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
@pytest.mark.parametrize("old", [b"old", None])
def test_a_write_that_fails_changes_nothing(tmp_path, old, error):
    path = tmp_path / "file"
    if old is not None:
        path.write_bytes(old)
    with pytest.raises(error), atomic_write(path) as file:
        file.write(b"half")
        raise error
    assert list(tmp_path.iterdir()) == ([path] if old else []) and (old is None or path.read_bytes() == old)


@pytest.mark.parametrize("is_there", [True, False])
def test_a_folder_appears_whole_at_the_end(tmp_path, is_there):
    path = tmp_path / "deep" / "folder"
    if is_there:
        path.mkdir(parents=True)
    with atomic_folder(path) as folder:
        (folder / "a").write_text("1")
        assert not path.exists() or not list(path.iterdir())
        (folder / "b").write_text("2")
    assert sorted(file.name for file in path.iterdir()) == ["a", "b"]
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), atomic_folder(tmp_path / "folder") as folder:
        (folder / "a").write_text("1")
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_a_folder_with_something_in_it_is_kept(tmp_path):
    path = tmp_path / "folder"
    path.mkdir()
    (path / "old").touch()
    with pytest.raises(OSError), atomic_folder(path) as folder:
        (folder / "new").touch()
    assert list(tmp_path.iterdir()) == [path] and [file.name for file in path.iterdir()] == ["old"]


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o007])
def test_modes_are_those_of_plain_writing(tmp_path, umask):
    before = os.umask(umask)
    try:
        (tmp_path / "plain").touch()
        (tmp_path / "plain_folder").mkdir()
        with atomic_write(tmp_path / "file"), atomic_folder(tmp_path / "folder") as folder:
            (folder / "inner").touch()
    finally:
        os.umask(before)
    for made, plain in (("file", "plain"), ("folder", "plain_folder"), ("folder/inner", "plain")):
        assert (tmp_path / made).stat().st_mode == (tmp_path / plain).stat().st_mode


def test_what_is_replaced_keeps_its_mode(tmp_path):
    (tmp_path / "file").touch(0o640)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder").chmod(0o750)
    with atomic_write(tmp_path / "file") as file, atomic_folder(tmp_path / "folder"):
        file.write(b"new")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o750


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_weights_get_the_mode_of_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        (tmp_path / "plain").touch()
        (tmp_path / "a.safetensors").touch(0o600)
        (tmp_path / "b.safetensors").touch(0o400)
        apply_umask(tmp_path)
        assert os.umask(umask) == umask
    finally:
        os.umask(before)
    assert (tmp_path / "a.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert stat.S_IMODE((tmp_path / "b.safetensors").stat().st_mode) == 0o400
