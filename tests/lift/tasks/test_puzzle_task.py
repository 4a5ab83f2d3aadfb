"""What runs on puzzles have in common."""

from __future__ import annotations

from dataclasses import dataclass

from lift.tasks import sudoku
from lift.tasks.puzzle_task import MAX_EVAL_ROWS, PuzzleTask, puzzle_rows
from tests.lift.support.tiny import tiny_config


@dataclass
class Count:
    num_solved: int


class Counting(PuzzleTask[sudoku.Puzzle]):
    def evaluate(self, model, puzzles) -> Count:
        return Count(len(puzzles))


def test_rows_are_tokenised_and_published_puzzles_scored_where_there_are_any(tmp_path):
    puzzles, tokenizer = sudoku.generate_puzzles(MAX_EVAL_ROWS + 1, seed=0), sudoku.build_tokenizer()
    fields = puzzle_rows(sudoku.rows, puzzles[:3], puzzles, tokenizer, tiny_config(tmp_path))
    assert (len(fields["train"]), len(fields["eval"])) == (3, MAX_EVAL_ROWS)
    assert tokenizer.decode(fields["train"][2]["input_ids"]) == puzzles[2].clues + puzzles[2].solution
    task = Counting("puzzles", test=puzzles, published=[], **fields)
    assert task.score(None) == {"held_out": {"num_solved": 501}}
    task.published = puzzles[:2]
    assert task.score(None) == {"held_out": {"num_solved": 501}, "published": {"num_solved": 2}}
