"""`lift analyze --variance` as users call it."""

from __future__ import annotations

import json

import pytest

from lift.cli import main
from lift.models.lora import LoraArguments, add_lora
from lift.models.transformers_versions import keeps_packed_examples_apart
from tests.lift.support.tiny import tiny_model

FLAGS = ["--task", "sudoku", "--num_train_puzzles", "30", "--num_test_puzzles", "5", "--ratios", "0.5", "--limit", "12"]


@pytest.mark.skipif(not keeps_packed_examples_apart(), reason="this transformers' ModernBERT takes no mask of pairs")
def test_methods_are_measured_beside_the_table(model_folder, tmp_path, capsys):
    words = ["analyze", "--model", str(model_folder), *FLAGS, "--output_dir", str(tmp_path / "out")]
    more = ["--variance", "sft,mirror", "--variance_rows", "4", "--attention", "block", "--block_size", "8"]
    assert main([*words, *more]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("method") and [line.split()[0] for line in lines[2:4]] == ["sft", "mirror"]
    record = json.loads((tmp_path / "out" / "variance.json").read_text())
    settings = json.loads((tmp_path / "out" / "analysis.json").read_text())
    assert all(record[name] == settings[name] for name in ("weights", "data", "seed", "model", "versions"))
    assert (record["num_rows"], record["num_times"], record["num_masks"], record["block_size"]) == (4, 2, 2, 8)
    assert record["objective"] == {"attention": "block", "block_size": 8} and "--variance" in record["command"]
    assert record["num_parameters"] == sum(parameter.numel() for parameter in tiny_model().parameters())
    assert all(len(found["moments"]) == 2 for found in record["methods"].values())
    assert record["methods"]["sft"]["estimates"]["total"]["value"] > 0
    assert (tmp_path / "out" / "figures" / "variance.svg").exists()


def test_of_an_adapter_only_its_own_parameters_count(model_folder, tmp_path):
    adapted = add_lora(tiny_model(), LoraArguments(use_peft=True, lora_r=2))
    adapted.save_pretrained(tmp_path / "adapter")
    words = ["analyze", "--model", str(model_folder), "--peft", str(tmp_path / "adapter"), *FLAGS]
    assert main([*words, "--output_dir", str(tmp_path / "out"), "--variance", "lift3", "--variance_rows", "4"]) == 0
    record = json.loads((tmp_path / "out" / "variance.json").read_text())
    assert record["num_parameters"] == sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    assert record["methods"]["lift3"]["estimates"]["total"]["value"] > 0


def test_a_model_may_be_measured_as_if_it_had_no_mask_token(model_folder, tmp_path):
    words = ["analyze", "--model", str(model_folder), *FLAGS[:-1], "4", "--output_dir", str(tmp_path / "out")]
    assert main([*words, "--variance", "sft", "--variance_rows", "4", "--corruption", "uniform"]) == 0
    assert json.loads((tmp_path / "out" / "variance.json").read_text())["objective"] == {"corruption": "uniform"}


def test_too_few_rows_are_refused_before_anything_is_measured(model_folder, tmp_path, capsys):
    words = ["analyze", "--model", str(model_folder), *FLAGS[:-1], "3", "--output_dir", str(tmp_path / "out")]
    assert main([*words, "--variance", "sft"]) == 2
    assert "needs at least 4 rows, got 3" in capsys.readouterr().err and not (tmp_path / "out").exists()
