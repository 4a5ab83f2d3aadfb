"""`lift measure-t` as users call it: a density measured, and a training whose times it draws."""

from __future__ import annotations

import json

import numpy as np
import pytest
import yaml

from lift.cli import main
from lift.models.transformers_versions import keeps_packed_examples_apart
from lift.objectives.time_density_file import read_time_density

ROWS = ["--task", "sudoku", "--num_train_puzzles", "30", "--num_test_puzzles", "5"]
FEW = ["--num_examples", "4", "--num_times", "12", "--num_masks", "3"]


def measure(model_folder, path, *words):
    return main(["measure-t", "--model", str(model_folder), *ROWS, *FEW, "--output", str(path), *words])


def test_a_density_is_measured_and_a_training_draws_times_by_it(model_folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path, out = tmp_path / "density.json", tmp_path / "out"
    for floor in ("0.3", "0.2"):  # its own file is replaced
        capsys.readouterr()
        assert measure(model_folder, path, "--floor", floor) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].split() == ["t", "loss", "deviation", "density"] and len(shown) == 2 + 6 + 3
    assert shown[-1].startswith(f"the density: {path} ") and "that at uniform times" in shown[-2]
    record, found = json.loads(path.read_text("utf-8")), read_time_density(path)
    assert found.time_range == (1e-3, 1.0) and len(found.points) == 13 and min(found.density) > 0.2
    np.testing.assert_allclose(record["measured"]["time"], 0.999 * np.arange(1, 12) / 12 + 1e-3)
    assert shown[2].split()[:2] == [f"{record['measured'][name][0]:.3f}" for name in ("time", "mean")]
    assert record["settings"] == {
        "num_times": 12, "num_masks": 3, "smoothing": 1, "floor": 0.2, "seed": 42, "num_examples": 4,
        "attention": "full", "block_size": None, "block_origin": None, "exclude_mask_token": False, "mask_token_id": 1,
    }  # fmt: skip
    assert record["model"] == str(model_folder) and record["description"] == "4x4 Sudoku, rows to train on"
    assert record["command"].startswith("lift measure-t --model") and "torch" in record["versions"]
    train = ["train", *ROWS, "--model_name_or_path", str(model_folder), "--max_steps", "2", "--disable_tqdm", "true"]
    assert main([*train, "--method", "ppots", "--time_density", "density.json", "--output_dir", str(out)]) == 0
    assert yaml.safe_load((out / "config.yaml").read_text("utf-8"))["time_density"] == str(path)
    settings = json.loads(next(out.glob("checkpoint-*/lift_settings.json")).read_text())["settings"]
    assert settings["method"] == "ppots" and settings["content of time_density"]


@pytest.mark.skipif(not keeps_packed_examples_apart(), reason="this transformers' ModernBERT takes no mask of pairs")
def test_it_is_measured_as_a_run_is_trained(model_folder, tmp_path, capsys):
    config, paths = tmp_path / "config.yaml", [tmp_path / "a.json", tmp_path / "b.json"]
    config.write_text(
        "attention: block\nblock_size: 4\ntime_range: [0.3, 0.8]\nexclude_mask_token: true\nmax_steps: 9\n"
    )
    for path in paths:
        words = ["measure-t", str(config), "--model", str(model_folder), *ROWS, *FEW, "--output", str(path)]
        assert main(words) == 0
    records = [json.loads(path.read_text("utf-8")) for path in paths]
    assert records[0]["settings"]["block_size"] == 4 and records[0]["settings"]["exclude_mask_token"]
    assert records[0]["num_counted"] == 4 * 4 and records[0]["time_range"] == [0.3, 0.8]  # blocks of answers
    assert records[0]["density"] == records[1]["density"] and records[0]["weights"] == records[1]["weights"]
    assert (
        measure(model_folder, paths[1], "--attention", "block", "--block_size", "4", "--time_range", "0.3", "0.8") == 0
    )
    assert (
        json.loads(paths[1].read_text("utf-8"))["measured"]["mean"] != records[0]["measured"]["mean"]
    )  # no mask token


@pytest.mark.parametrize(
    ("output", "words"),
    [("", "is a folder: name a file"), ("none/density.json", "there is no folder .*none: make it")],
)
def test_a_place_that_cannot_be_written_is_told_before_a_model_is_loaded(tmp_path, capsys, output, words):
    import re

    assert measure("no-such-model", tmp_path / output) == 2
    assert re.search(words, capsys.readouterr().err)


def test_a_file_that_is_no_density_of_this_command_is_not_replaced(tmp_path, capsys):
    density = {"format": 1, "points": [0, 1], "density": [1, 1], "command": "lift measure-t --model m"}
    for content in (
        "rows\n",
        "{}",
        "[]",
        json.dumps(density | {"command": "by hand"}),
        json.dumps(density | {"points": []}),
    ):
        (tmp_path / "a").write_text(content)
        assert measure("no-such-model", tmp_path / "a") == 2
        assert f"{tmp_path / 'a'} is there, and lift measure-t did not write it" in capsys.readouterr().err
        assert (tmp_path / "a").read_text() == content
    (tmp_path / "a").write_text(json.dumps(density))
    assert measure("no-such-model", tmp_path / "a") == 2 and "no-such-model" in capsys.readouterr().err


def test_several_processes_are_refused(tmp_path, monkeypatch, capsys):
    from types import SimpleNamespace

    from lift.cli import measured_model

    monkeypatch.setattr(measured_model, "processes", lambda: SimpleNamespace(num_processes=2))
    assert measure("no-such-model", tmp_path / "density.json") == 2
    assert "runs in one process: start it without a launcher" in capsys.readouterr().err


def test_a_training_without_a_density_or_with_a_bad_one_is_one_sentence(model_folder, tmp_path, capsys):
    (tmp_path / "bad.json").write_text('{"format": 1, "points": [0, 1], "density": [1, 0]}')
    train = ["train", *ROWS, "--model_name_or_path", str(model_folder), "--output_dir", str(tmp_path / "out")]
    for words, sentence in (
        (["--method", "ppots"], "set time_density to a file of lift measure-t"),
        (["--time_density", str(tmp_path / "bad.json")], "bad.json holds no density of times: density must be above 0"),
    ):
        assert main([*train, *words]) == 2
        assert sentence in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
