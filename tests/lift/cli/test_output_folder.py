"""What a run may do with its output folder, and which checkpoint it goes on from."""

from __future__ import annotations

import pytest

from lift.cli.output_folder import check_output, find_checkpoint, where_to_start
from lift.errors import LiftError


@pytest.mark.parametrize("value", [None, "false", "False"])
def test_no_checkpoint_is_wanted(tmp_path, value):
    assert find_checkpoint(tmp_path, value) is None


@pytest.mark.parametrize("value", ["true", "True"])
def test_the_newest_whole_checkpoint_is_found(tmp_path, value):
    for step, is_whole in ((9, True), (10, True), (30, False)):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / "model.safetensors").touch()
        if is_whole:
            (tmp_path / f"checkpoint-{step}" / "trainer_state.json").touch()
    (tmp_path / "checkpoint-best").mkdir()
    (tmp_path / "checkpoint-best" / "trainer_state.json").touch()
    assert find_checkpoint(tmp_path, value) == tmp_path / "checkpoint-10"


def test_a_checkpoint_that_is_not_there_is_named(tmp_path):
    assert find_checkpoint(tmp_path / "out", str(tmp_path)) == tmp_path
    with pytest.raises(LiftError, match="no checkpoint folder at nowhere"):
        find_checkpoint(tmp_path, "nowhere")
    with pytest.raises(LiftError, match=f"no checkpoint in {tmp_path}: leave --resume_from_checkpoint out"):
        find_checkpoint(tmp_path, "true")


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
    (tmp_path / "checkpoint-3" / "trainer_state.json").touch()
    assert where_to_start(tmp_path, resume_from="true", may_overwrite=False) == tmp_path / "checkpoint-3"
    assert where_to_start(tmp_path, resume_from=None, may_overwrite=True) is None
    with pytest.raises(LiftError, match="is not empty"):
        where_to_start(tmp_path, resume_from=None, may_overwrite=False)
