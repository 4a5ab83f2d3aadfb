"""`lift analyze` as users call it: a table, its report, and two of them compared."""

from __future__ import annotations

import json

import pyarrow.parquet as pq

from lift.cli import main
from lift.cli.analyze import warn_of_blocks
from lift.models.training_record import record_blocks
from tests.lift.support.tiny import tiny_model

FLAGS = ["--task", "sudoku", "--num_train_puzzles", "30", "--num_test_puzzles", "5"]


def test_two_models_on_the_same_rows_and_what_the_second_gained(model_folder, tmp_path, capsys):
    tables = [tmp_path / "first", tmp_path / "second"]
    for number, table in enumerate(tables):
        tiny_model(number).save_pretrained(model_folder)
        words = ["analyze", "--model", str(model_folder), *FLAGS, "--output_dir", str(table), "--ratios", "0.5"]
        assert main([*words, "--limit", "20"]) == 0
        assert capsys.readouterr().out == f"the report: {table / 'analysis.html'}\n"
    first, second = (pq.read_table(table / "tokens") for table in tables)
    assert first.column_names[:6] == ["example", "position", "token", "frequency", "ratio", "log_prob"]
    assert first["position"].equals(second["position"]) and not first["log_prob"].equals(second["log_prob"])
    settings = json.loads((tables[0] / "analysis.json").read_text())
    assert settings["num_examples"] == 20 and settings["num_tokens"] == 20 * 16 and settings["seed"] == 42
    output = tmp_path / "compared"
    assert main(["analyze", "--compare", *map(str, tables), "--output_dir", str(output)]) == 0
    assert (output / "analysis.html").exists() and (output / "figures" / "gain.svg").exists()


def test_own_rows_that_are_held_out(model_folder, rows_file, tmp_path):
    words = ["analyze", "--model", str(model_folder), "--train_data", str(rows_file), "--num_eval_rows", "4"]
    words += ["--prompt_column", "question", "--completion_column", "answer", "--ratios", "0.5"]
    assert main([*words, "--rows", "eval", "--output_dir", str(tmp_path / "held-out")]) == 0
    settings = json.loads((tmp_path / "held-out" / "analysis.json").read_text())
    assert settings["num_examples"] == 4 and settings["description"].endswith("rows to eval on")


def test_a_table_of_whole_rows_says_so_of_a_model_that_writes_in_blocks(caplog):
    model = tiny_model()
    warn_of_blocks(model)
    assert not caplog.records
    record_blocks(model, 4)
    warn_of_blocks(model)
    assert "the table is of whole rows" in caplog.text


def test_bad_input_is_one_sentence(tmp_path, capsys):
    words = ["analyze", "--compare", str(tmp_path), str(tmp_path), "--output_dir", str(tmp_path / "new")]
    assert main(words) == 2
    assert "holds no table of lift analyze: name the output_dir of one" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
