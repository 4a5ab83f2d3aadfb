"""The flags of `lift measure-t`, and what it takes from the configuration of a training."""

from __future__ import annotations

import pytest

from lift.cli.measure_t_arguments import parse
from lift.errors import LiftError

GIVEN = ["--model", "m", "--output", "density.json"]


def test_defaults_and_what_a_training_says(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(
        "train_data: [rows.jsonl]\nblock_size: 8\nattention: block\ntime_range: [0.3, 0.8]\nseed: 7\nmethod: ppots\n"
        "block_origin: answer\ntime_density: old.json\noutput_dir: trained\nper_device_train_batch_size: 3\n"
    )
    own, data, _ = parse([str(path), *GIVEN])
    assert (data.train_data, own.seed, own.attention, own.block_size) == (["rows.jsonl"], 7, "block", 8)
    assert (own.time_range, own.time_epsilon, own.exclude_mask_token) == ([0.3, 0.8], 1e-3, False)
    assert (own.num_examples, own.num_times, own.num_masks, own.smoothing, own.floor) == (32, 30, 10, 1, 0.1)
    options = own.training_options()
    assert (options.method, options.block_size, options.time_range) == ("sft", 8, [0.3, 0.8])
    assert options.block_origin == "answer"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--model", "m"], "no output: pass --output FILE.json"),
        (["--output", "density.json"], "no model: pass --model"),
        (GIVEN, "no training data"),
        ([*GIVEN, "--task", "sudoku", "--num_masks", "1"], "num_masks must be at least 2, got 1"),
        ([*GIVEN, "--task", "sudoku", "--floor", "0"], "floor must be above 0 and at most 1, got 0.0"),
        ([*GIVEN, "--task", "sudoku", "--time_range", "0.8", "0.3"], "time_range must begin with the lowest time"),
        ([*GIVEN, "--task", "sudoku", "--corruption", "uniform"], "a training with corruption=uniform is not measured"),
        ([*GIVEN, "--task", "sudoku", "--attention", "full", "--block_size", "4"], "block_size belongs to attention=block"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_sentence(words, sentence):
    with pytest.raises(LiftError, match=sentence):
        parse(words)
