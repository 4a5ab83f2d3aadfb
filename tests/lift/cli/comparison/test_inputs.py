"""Runs of one comparison read the same rows and start from the same model, whatever became of the files since."""

from __future__ import annotations

import json
import os

import pytest

from lift.cli.comparison.inputs import check_inputs, write_inputs
from lift.cli.comparison.plan import Plan
from lift.cli.comparison.runs import Run
from lift.errors import LiftError

MIB = 1 << 20


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": "a", "completion": "b"}\n')
    return path


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(bytes(70 * MIB))
    return folder


@pytest.fixture
def kept(tmp_path):
    """Keep what a run of these settings reads, and return what checks it."""
    folder = tmp_path / "compared"
    (folder / "settings").mkdir(parents=True)
    plan = Plan(folder, [], {}, 1 / 3, {}, [0], [], None, True)

    def keep(start=None, **settings):
        run = Run("sft-seed-0", "sft", 0, settings, start)
        write_inputs(plan, run)
        return lambda: check_inputs(plan, run)

    return keep


def test_edited_rows_under_the_same_name_are_refused(tmp_path, rows, kept):
    check = kept(train_data=[str(rows)], seed=1, method="sft")
    check()
    os.utime(rows, (1, 1))
    check()  # the same content
    rows.write_text(rows.read_text().replace("b", "c"))
    with pytest.raises(
        LiftError,
        match=rf"^train_data {rows} is not what sft-seed-0 in {tmp_path / 'compared'} has read, under the same name: "
        r"put that back, or choose another --output_dir\.$",
    ):
        check()


def test_a_pattern_that_another_file_matches_is_refused(tmp_path, rows, kept):
    check = kept(train_data=[str(tmp_path / "*.jsonl")])
    (tmp_path / "more.jsonl").write_text("{}\n")
    with pytest.raises(LiftError, match=r"train_data .* is not what"):
        check()


@pytest.mark.parametrize("place", [0, 34 * MIB, 70 * MIB - 1])
def test_other_weights_are_refused_and_what_lies_beside_a_model_is_not(model, kept, place):
    check = kept(model_name_or_path=str(model))
    (model / "evaluation.json").write_text("{}")
    (model / "checkpoint-1").mkdir()
    check()
    with (model / "model.safetensors").open("r+b") as file:
        file.seek(place)
        file.write(b"1")
    with pytest.raises(LiftError, match=r"model_name_or_path .* is not what"):
        check()


def test_a_model_that_the_comparison_makes_is_not_compared(model, kept):
    check = kept(model_name_or_path=str(model), start=model)
    (model / "config.json").write_text('{"a": 1}')
    check()


@pytest.mark.parametrize(
    ("flag", "value"),
    [("eval_tasks", "gsm8k, {file}"), ("eval_task_files", ["gsm8k={file}"]), ("deepspeed", "{file}")],
)
def test_other_files_of_a_run_count_too(tmp_path, kept, flag, value):
    path = tmp_path / "file.yaml"
    path.write_text("a: 1")
    named = value.format(file=path) if isinstance(value, str) else [value[0].format(file=path)]
    check = kept(**{flag: named})
    path.write_text("a: 2")
    with pytest.raises(LiftError, match=f"^{flag} .* is not what"):
        check()


def test_what_is_gone_or_lies_elsewhere_is_not_compared(rows, kept):
    check = kept(train_data=[str(rows), "owner/name"], model_name_or_path="owner/model", deepspeed=json.dumps({"a": 1}))
    rows.unlink()
    check()


def test_a_comparison_of_an_earlier_release_goes_on(tmp_path, rows, kept):
    check = kept(train_data=[str(rows)])
    (tmp_path / "compared" / "settings" / "sft-seed-0.inputs.json").unlink()
    rows.write_text("{}\n")
    check()
