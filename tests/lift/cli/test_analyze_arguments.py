"""The flags of `lift analyze`, and what it takes from the configuration of a training."""

from __future__ import annotations

import pytest

from lift.cli.analyze_arguments import parse
from lift.errors import LiftError

GIVEN = ["--model", "m", "--output_dir", "out"]


def test_defaults_and_the_rows_of_a_training(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(
        "train_data: [rows.jsonl]\nmax_length: 160\nseed: 7\ndtype: bfloat16\noutput_dir: trained\nmax_steps: 9\n"
    )
    own, data, task = parse([str(path), *GIVEN, "--ratios", "0.5", "1"])
    assert (data.train_data, own.max_length, own.seed) == (["rows.jsonl"], 160, 7)
    assert (own.output_dir, own.dtype, own.rows, own.ratios, task) == ("out", "auto", "train", [0.5, 1.0], None)
    assert parse([str(path), *GIVEN, "--seed", "3"]).own.seed == 3


@pytest.mark.parametrize("words", [["--task", "sudoku"], ["--task=sudoku"], ["--preset", "sudoku"]])
def test_a_task_brings_its_own_flags(words):
    parsed = parse([*words, *GIVEN, "--num_train_puzzles", "30"])
    assert parsed.task.num_train_puzzles == 30 and parsed.data.task == "sudoku"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--model", "m"], "no output folder"),
        (["--output_dir", "out"], "no model: pass --model"),
        (GIVEN, "no training data"),
        ([*GIVEN, "--task", "sudoku", "--ratios", "0"], "ratios must be above 0 and at most 1, got 0.0"),
        ([*GIVEN, "--task", "sudoku", "--limit", "0"], "limit must be at least 1, got 0"),
        ([*GIVEN, "--task", "sudoku", "--rows", "all"], "must be one of train, eval"),
        (["--output_dir", "out", "--compare", "one"], "compare must be two folders of lift analyze, got 1"),
        ([*GIVEN, "--tsk", "sudoku"], "did you mean '--task'"),
        ([*GIVEN, "--task", "sudoku", "--variance", "sft,lft"], "variance must be one of sft, lift2, .*, got 'lft'"),
        ([*GIVEN, "--task", "sudoku", "--variance", ","], "variance must be one of sft, .*, got ''"),
        ([*GIVEN, "--task", "sudoku", "--variance", "sft", "--variance_rows", "9"], "must be an even number"),
        ([*GIVEN, "--task", "sudoku", "--variance", "sft", "--variance_masks", "1"], "masks must be at least 2, got 1"),
        ([*GIVEN, "--task", "sudoku", "--variance", "sft", "--one_forward"], "one_forward belongs to the methods that"),
        ([*GIVEN, "--task", "sudoku", "--block-size", "4"], "block_size belongs to variance: pass --variance METHODS"),
        ([*GIVEN, "--task", "sudoku", "--variance", "sft,puma"], "method='puma' masks a row by what earlier steps have"),
        ([*GIVEN, "--task", "sudoku", "--variance", "ppots"], "set time_density to a file of lift measure-t"),
        (["--output_dir", "out", "--compare", "a", "b", "--variance", "sft"], "measures nothing: leave variance out"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_sentence(words, sentence):
    with pytest.raises(LiftError, match=sentence):
        parse(words)
