"""What a run may do with its output folder, and where it starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from lift.cli.output_folder import check_output, check_writable, where_to_start
from lift.errors import LiftError


def test_a_new_or_empty_folder_is_free(tmp_path):
    for may_overwrite in (False, True):
        check_output(tmp_path, may_overwrite=may_overwrite)
        check_output(tmp_path / "new", may_overwrite=may_overwrite)


@pytest.mark.parametrize("trace", ["metrics.json", "checkpoint-3"])
def test_a_run_is_replaced_only_where_that_is_asked_for(tmp_path, trace):
    (tmp_path / trace).mkdir()
    check_output(tmp_path, may_overwrite=True)
    with pytest.raises(LiftError, match="is not empty: choose another, continue with --resume_from_checkpoint true"):
        check_output(tmp_path, may_overwrite=False)


def test_what_no_run_wrote_is_never_replaced(tmp_path):
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(LiftError, match="holds files that no training run wrote"):
        check_output(tmp_path, may_overwrite=True)
    with pytest.raises(LiftError, match="is a file: choose a folder"):
        check_output(tmp_path / "thesis.txt", may_overwrite=True)


def test_a_run_that_goes_on_may_find_its_folder_in_use(tmp_path):
    (tmp_path / "checkpoint-3").mkdir()
    (tmp_path / "checkpoint-3" / "trainer_state.json").write_text("{}")
    assert where_to_start(tmp_path, resume_from="true", may_overwrite=False) == tmp_path / "checkpoint-3"
    assert where_to_start(tmp_path, resume_from=None, may_overwrite=True) is None
    with pytest.raises(LiftError, match="is not empty"):
        where_to_start(tmp_path, resume_from=None, may_overwrite=False)


def test_where_a_folder_can_be_made_nothing_is_left(tmp_path):
    for output in (tmp_path, tmp_path / "a", tmp_path / "a" / "b", tmp_path / ("x" * 255)):
        check_writable(output)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("file/out", "/file is a file: choose another."),
        ("link", "it is a link to nowhere, which is not there: choose another."),
        ("x" * 256, "a name in it is 256 bytes long, and 255 is the limit: choose another."),
        ("new/" + "é" * 128 + "/out", "a name in it is 256 bytes long"),
        ("a\0b", "null"),
    ],
    ids=lambda value: value[:12],
)
def test_where_none_can_be_made_is_named_with_the_reason(tmp_path, name, problem):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    for check in (check_writable, lambda output: where_to_start(output, resume_from=None, may_overwrite=True)):
        with pytest.raises(LiftError, match=r"^output_dir .* cannot be used: ") as error:
            check(tmp_path / name)
        assert problem in str(error.value)


def test_a_folder_that_may_not_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr("lift.cli.output_folder.os.access", lambda path, mode: False)
    with pytest.raises(LiftError, match="it may not be written"):
        check_writable(tmp_path)
    if Path("/proc/self").exists():  # where permissions say nothing to root
        with pytest.raises(LiftError, match=r"^output_dir /proc/none/out cannot be used: "):
            check_writable(Path("/proc/none/out"))


@pytest.mark.parametrize("is_behind_a_link", [False, True])
def test_a_folder_with_something_that_the_new_run_reads_is_not_replaced(tmp_path, is_behind_a_link):
    out, data = tmp_path / "out", tmp_path / "rows.jsonl"
    (out / "data").mkdir(parents=True)
    (out / "metrics.json").touch()
    (out / "data" / "rows.jsonl").touch()
    data.touch()
    given = out
    if is_behind_a_link:
        given = tmp_path / "link"
        given.symlink_to(out)
    (out / "outwards.jsonl").symlink_to(data)  # would go with the folder
    (tmp_path / "inwards.jsonl").symlink_to(out / "data" / "rows.jsonl")

    def start(path, may_overwrite=True, output=given):
        inputs = [("seed", tmp_path / "rows.jsonl"), ("train_data", path)]
        return where_to_start(output, resume_from=None, may_overwrite=may_overwrite, inputs=inputs)

    for path in (out, out / "data" / "rows.jsonl", given / "outwards.jsonl", tmp_path / "inwards.jsonl"):
        with pytest.raises(
            LiftError, match=r"^overwrite_output_dir would delete .*, which train_data names, .* move it"
        ):
            start(path)
    for path in (data, tmp_path, out / "config.yaml"):
        assert start(path) is None
    assert start(out / "data", may_overwrite=False, output=tmp_path / "new") is None


def test_the_working_directory_is_not_replaced(tmp_path, monkeypatch):
    (tmp_path / "metrics.json").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LiftError, match=r"would delete the working directory, .* start from another folder"):
        where_to_start(Path(), resume_from=None, may_overwrite=True)
