"""A training run's puzzles, score, words and pictures."""

from __future__ import annotations

import pytest
from rich.console import Console

from lift.errors import LiftError
from lift.tasks import sudoku
from lift.tasks.sudoku.arguments import Arguments
from lift.tasks.sudoku.run import SudokuTask, open_task
from tests.lift.support.tiny import tiny_config, tiny_model

SCORE = {"valid": 0.5, "exact": 0.25, "by_blanks": {8: (1, 2)}}


def open_small(tmp_path, **arguments) -> SudokuTask:
    task = open_task(Arguments(**({"num_train_puzzles": 6, "num_test_puzzles": 3} | arguments)), tiny_config(tmp_path))
    assert isinstance(task, SudokuTask)
    return task


def puzzle_file(path, puzzles) -> str:
    path.write_text("Puzzle,Solution\n" + "".join(f"{p.clues},{p.solution}\n" for p in puzzles))
    return str(path)


def test_held_out_and_published_puzzles_are_not_trained_on(tmp_path):
    puzzles = sudoku.generate_puzzles(300, seed=7, num_blanks=(8, 8))
    task = open_small(
        tmp_path, num_train_puzzles=5000, num_test_puzzles=400,
        test_puzzles=puzzle_file(tmp_path / "published.csv", puzzles),
    )  # fmt: skip
    clues = set(task.tokenizer.batch_decode([ids[:16] for ids in task.train["input_ids"]]))
    assert len(clues) == 5000 and len(task.test) == 400 and task.published == puzzles
    assert not clues & {p.clues for p in puzzles} and not clues & {p.clues for p in task.test}
    assert not {p.clues for p in puzzles} & {p.clues for p in task.test}


def test_puzzles_follow_the_seed_and_the_evaluation_loss_takes_500_at_most(tmp_path):
    first, again = (open_small(tmp_path, num_test_puzzles=600) for _ in range(2))
    assert first.train["input_ids"] == again.train["input_ids"] and first.test == again.test
    assert len(first.eval) == 500 and len(first.test) == 600
    other = open_task(Arguments(num_train_puzzles=6, num_test_puzzles=3), tiny_config(tmp_path, seed=7))
    assert other.train["input_ids"] != first.train["input_ids"]


def test_tokenising_shows_bars_where_they_are_wanted(tmp_path, capfd):
    for disable_tqdm, bars in ((False, 2), (True, 0)):
        open_task(Arguments(num_train_puzzles=4, num_test_puzzles=4), tiny_config(tmp_path, disable_tqdm=disable_tqdm))
        shown = capfd.readouterr().err
        assert shown.count("Tokenising: 100%") >= bars and (bars or shown == "")


def test_the_score_is_that_of_the_held_out_and_of_the_published_puzzles(tmp_path):
    published = sudoku.generate_puzzles(2, seed=9, num_blanks=(1, 1))
    model = tiny_model()
    assert open_small(tmp_path).score(model).keys() == {"held_out"}
    task = open_small(tmp_path, test_puzzles=puzzle_file(tmp_path / "published.csv", published))
    score = task.score(model)
    assert sum(total for _, total in score["held_out"]["by_blanks"].values()) == 3
    assert score["published"]["by_blanks"] == {1: (score["published"]["valid"] * 2, 2)}


def test_the_sentence_says_what_was_solved(tmp_path):
    task = open_small(tmp_path)
    metrics = {"held_out": SCORE, "eval_loss": 1.23456}
    assert task.sentence(metrics) == "50.0% of 3 held-out puzzles solved, evaluation loss 1.235"
    task.published = task.test[:2]
    assert task.sentence(metrics | {"published": SCORE}) == (
        "50.0% of 3 held-out puzzles solved, 50.0% of 2 published ones (25.0% as their key has it), "
        "evaluation loss 1.235"
    )


def test_the_report_solves_a_hardest_puzzle_and_says_how_to_go_on(tmp_path):
    task, console = open_small(tmp_path), Console(width=100)
    with console.capture() as capture:
        task.report(console, tiny_model(), tmp_path / "out")
    shown = capture.get()
    hardest = max(p.num_blanks for p in task.test)
    (clues,) = [p.clues for p in task.test if f"--prompt {p.clues}" in " ".join(shown.split())]
    assert clues.count("0") == hardest
    assert shown.startswith("a held-out puzzle, solved step by step:") and "puzzle" in shown and "╭" in shown


def test_the_picture_is_drawn(tmp_path, drawn):
    open_small(tmp_path).draw({"held_out": SCORE}, {"held_out": SCORE}, tmp_path)
    assert (tmp_path / "accuracy_by_difficulty.png").is_file() and len(drawn) == 1


def test_a_missing_puzzle_file_and_too_many_puzzles_are_refused(tmp_path):
    with pytest.raises(LiftError, match=r"none\.csv must be an existing CSV file"):
        open_small(tmp_path, test_puzzles="none.csv")
    with pytest.raises(LiftError, match="num_puzzles must be at least 1, got 0"):
        open_small(tmp_path, num_train_puzzles=0)
