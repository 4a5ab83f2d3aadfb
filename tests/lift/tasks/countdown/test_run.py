"""A training run's puzzles, score, words and pictures."""

from __future__ import annotations

import json

import pytest
from rich.console import Console
from transformers import ModernBertConfig, ModernBertForMaskedLM

from lift.errors import LiftError
from lift.tasks.countdown import CountdownPuzzle
from lift.tasks.countdown.arguments import Arguments
from lift.tasks.countdown.model import build_tokenizer
from lift.tasks.countdown.puzzles import evaluation_puzzles, generate_puzzles
from lift.tasks.countdown.run import CountdownTask, open_task
from lift.tasks.countdown.writing import read_prompt
from tests.lift.support.tiny import tiny_config

SCORE = {"correct": 0.5, "interval": [0.25, 0.75], "by_operations": {"+ and -": (1, 2)}}


def open_small(tmp_path, **arguments) -> CountdownTask:
    task = open_task(Arguments(**({"num_train_puzzles": 6, "num_test_puzzles": 3} | arguments)), tiny_config(tmp_path))
    assert isinstance(task, CountdownTask)
    return task


def puzzle_file(path, *puzzles) -> str:
    path.write_text("".join(json.dumps(puzzle.row()) + "\n" for puzzle in puzzles))
    return str(path)


def key(puzzle: CountdownPuzzle):
    return tuple(sorted(puzzle.numbers)), puzzle.target


def test_no_test_puzzle_is_trained_on_in_any_order(tmp_path, monkeypatch):
    # Numbers up to 6 leave few puzzles, so that a set drawn without regard to the others would meet them.
    def few(num_puzzles, **options):
        return generate_puzzles(num_puzzles, numbers_within=(1, 6), targets_within=(1, 40), **options)

    monkeypatch.setattr("lift.tasks.countdown.run.generate_puzzles", few)
    monkeypatch.setattr("lift.tasks.countdown.run.evaluation_puzzles", lambda: few(100, seed=42))
    published = few(60, seed=7)
    task = open_small(
        tmp_path, num_train_puzzles=300, num_test_puzzles=100,
        test_puzzles=puzzle_file(tmp_path / "published.jsonl", *published),
    )  # fmt: skip
    prompts = task.tokenizer.batch_decode([ids[:7] for ids in task.train["input_ids"]])
    trained = {key(read_prompt(prompt)) for prompt in prompts}
    assert len(trained) == 300 and len(task.test) == 100 and task.published == published
    for others in (task.test, published, few(100, seed=42)):
        assert not trained & {key(puzzle) for puzzle in others}


def test_lift_eval_asks_256_puzzles():
    assert len(set(map(key, evaluation_puzzles()))) == 256


def test_score_words_example_and_picture(tmp_path, drawn):
    published = puzzle_file(tmp_path / "published.jsonl", CountdownPuzzle((30, 100, 93), 23))
    task, console = open_small(tmp_path, test_puzzles=published), Console(width=200)
    tokenizer = build_tokenizer()
    config = ModernBertConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=32, layer_types=["full_attention"], pad_token_id=0, bos_token_id=None,
        eos_token_id=None, cls_token_id=None, sep_token_id=None,
    )  # fmt: skip
    model = ModernBertForMaskedLM(config)
    score = task.score(model)
    assert sum(n for _, n in score["held_out"]["by_operations"].values()) == 3
    assert sum(n for _, n in score["published"]["by_operations"].values()) == 1
    assert task.sentence({"held_out": SCORE, "published": SCORE, "eval_loss": 1.23456}) == (
        "50.0% (25.0% to 75.0%) of 3 held-out puzzles solved, 50.0% (25.0% to 75.0%) of 1 published ones, "
        "evaluation loss 1.235"
    )
    with console.capture() as capture:
        task.report(console, model, tmp_path / "out")
    lines = capture.get().splitlines()
    assert [line.count("·") for line in lines if line.startswith("  step")] == [8, 7, 6, 5, 4, 3, 2, 1, 0]
    assert lines[-1].startswith("ask your own: lift sample --model ")
    task.draw({"held_out": SCORE}, {"held_out": SCORE}, tmp_path)
    assert (tmp_path / "accuracy_by_difficulty.png").is_file() and len(drawn) == 1


def test_puzzles_that_the_tokenizer_cannot_write_are_refused(tmp_path):
    for puzzle in (CountdownPuzzle((1, 2, 101), 98), CountdownPuzzle((1, 2, 3, 4), 10)):
        with pytest.raises(LiftError, match="a puzzle must have 3 numbers and a target, all from 1 to 100, got "):
            open_small(tmp_path, test_puzzles=puzzle_file(tmp_path / "puzzles.jsonl", puzzle))
