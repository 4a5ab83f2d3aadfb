"""What a command that asks a model about rows takes from files of a training."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from lift.cli.measured_arguments import MeasuredArguments, parse_measured
from lift.errors import LiftError
from lift.fields import option


@dataclass
class Own(MeasuredArguments):
    learning_rate: float = option(1.0, "A flag of the command, of the name of one of the training.")
    block_size: int | None = option(None, "Another.")


def parse(words, **options):
    return parse_measured(Own, words, name="ask", description="Ask.", **options)


def test_of_a_file_only_what_is_named(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("train_data: [a.jsonl]\nseed: 3\nlearning_rate: 0.5\nblock_size: 4\nbf16: true\n")
    own, data, task = parse([str(path), "--model", "m"])
    assert (data.train_data, task, own.model, own.seed) == (["a.jsonl"], None, "m", 3)
    assert (own.learning_rate, own.block_size) == (1.0, None)
    assert parse([str(path)], from_files={"block_size"}).own.block_size == 4
    assert parse([str(path), "--block_size", "8"], from_files={"block_size"}).own.block_size == 8


def test_a_sentence_quotes_the_flag():
    with pytest.raises(LiftError, match="--learning_rate must be a number, got 'fast'"):
        parse(["--learning_rate", "fast"])
