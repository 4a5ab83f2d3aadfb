from __future__ import annotations

import itertools
import time
from collections import Counter
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from transformers import AutoTokenizer

from lift.data import prepare_dataset
from lift.errors import LiftError
from lift.tasks import TASKS, sudoku
from lift.tasks.sudoku import Puzzle

BLANK = "0" * 16
PUZZLE = Puzzle("0403320143000000", "1423324143122134")
UNITS = [
    *([4 * r + c for c in range(4)] for r in range(4)),
    *([4 * r + c for r in range(4)] for c in range(4)),
    *([4 * (r + i) + c + j for i in (0, 1) for j in (0, 1)] for r in (0, 2) for c in (0, 2)),
]


def obeys_the_rules(grid: str) -> bool:
    return len(grid) == 16 and all({grid[i] for i in unit} == set("1234") for unit in UNITS)


def brute_force(clues: str) -> list[str]:
    """Every solution, by filling the first empty cell with all that no unit forbids."""
    if any(len(shown) != len(set(shown)) for u in UNITS for shown in [[clues[i] for i in u if clues[i] != "0"]]):
        return []
    cell = clues.find("0")
    if cell < 0:
        return [clues]
    return [s for digit in "1234" for s in brute_force(clues[:cell] + digit + clues[cell + 1 :])]


ALL_GRIDS = brute_force(BLANK)


def test_the_task_is_listed():
    assert TASKS == ("sudoku",)


def test_an_empty_puzzle_has_all_288_grids():
    assert len(ALL_GRIDS) == 288
    assert sudoku.solve(BLANK, limit=1000) == ALL_GRIDS


@settings(deadline=None)
@given(st.sampled_from(ALL_GRIDS), st.sets(st.integers(0, 15)), st.text("01234", min_size=16, max_size=16))
def test_solve_agrees_with_brute_force(grid, hidden, noise):
    puzzle = "".join("0" if i in hidden else cell for i, cell in enumerate(grid))
    for clues in (puzzle, noise):
        solutions = brute_force(clues)
        assert sudoku.solve(clues, limit=1000) == solutions
        assert sudoku.solve(clues) == solutions[:2]


@settings(deadline=None)
@given(st.sampled_from(ALL_GRIDS), st.integers(0, 15), st.sampled_from("01234?"))
def test_a_valid_solution_keeps_the_rules(grid, cell, character):
    other = grid[:cell] + character + grid[cell + 1 :]
    assert sudoku.is_valid_solution(BLANK, other) == obeys_the_rules(other)
    assert sudoku.is_valid_solution(grid, grid)


def test_a_valid_solution_keeps_the_clues():
    grid, other = ALL_GRIDS[0], ALL_GRIDS[-1]
    cell = next(i for i in range(16) if grid[i] != other[i])
    assert not sudoku.is_valid_solution("0" * cell + grid[cell] + "0" * (15 - cell), other)
    assert not sudoku.is_valid_solution(BLANK, grid[:15])
    assert not sudoku.is_valid_solution(BLANK, grid + "1")


@pytest.mark.parametrize("clues", ["", "1" * 15, "5" + "0" * 15, "." * 16])
def test_what_is_no_puzzle_is_refused(clues):
    for call in (
        lambda: sudoku.solve(clues),
        lambda: sudoku.is_valid_solution(clues, ALL_GRIDS[0]),
        lambda: sudoku.generate_puzzles(5, seed=0, exclude={clues}),
    ):
        with pytest.raises(LiftError, match='must be 16 characters of "0"'):
            call()


def test_generated_puzzles_have_one_solution_and_spread_evenly():
    puzzles = sudoku.generate_puzzles(201, seed=3)
    assert all(brute_force(puzzle.clues) == [puzzle.solution] for puzzle in puzzles)
    assert len({puzzle.clues for puzzle in puzzles}) == 201
    by_blanks = Counter(puzzle.num_blanks for puzzle in puzzles)
    assert set(by_blanks) == set(range(4, 12)) and set(by_blanks.values()) == {25, 26}
    # In random order, and not only a few of the solutions.
    assert Counter(puzzle.num_blanks for puzzle in puzzles[:40]).keys() == by_blanks.keys()
    assert len({puzzle.solution for puzzle in puzzles}) > 100


def test_puzzles_are_a_function_of_the_seed():
    assert sudoku.generate_puzzles(50, seed=1) == sudoku.generate_puzzles(50, seed=1)
    assert sudoku.generate_puzzles(50, seed=1) != sudoku.generate_puzzles(50, seed=2)


def test_a_training_set_is_made_in_seconds():
    start = time.perf_counter()
    puzzles = sudoku.generate_puzzles(22_000, seed=0)
    assert time.perf_counter() - start < 15
    assert len({puzzle.clues for puzzle in puzzles}) == 22_000


def test_exactly_the_puzzles_of_12_blanks_that_exist_are_generated():
    truth = set()
    for cells in itertools.combinations(range(16), 4):
        seen = Counter(tuple(grid[i] for i in cells) for grid in ALL_GRIDS)
        for digits, count in seen.items():
            if count == 1:
                shown = dict(zip(cells, digits, strict=True))
                truth.add("".join(shown.get(i, "0") for i in range(16)))
    # A puzzle of several solutions was never a candidate, so that leaving it out takes nothing away.
    ambiguous = "1234" + "0" * 12
    puzzles = sudoku.generate_puzzles(len(truth), seed=0, num_blanks=(12, 12), exclude={ambiguous})
    assert {puzzle.clues for puzzle in puzzles} == truth
    with pytest.raises(LiftError, match=f"at most {len(truth)}"):
        sudoku.generate_puzzles(len(truth) + 1, seed=0, num_blanks=(12, 12))


def test_where_a_number_of_blanks_runs_out_the_others_fill_up():
    puzzles = sudoku.generate_puzzles(2000, seed=0, num_blanks=(0, 3))
    assert sorted(Counter(puzzle.num_blanks for puzzle in puzzles).items()) == [
        (0, 288),
        (1, 570),
        (2, 571),
        (3, 571),
    ]


def test_excluded_puzzles_do_not_appear():
    everything = sudoku.generate_puzzles(288 + 16 * 288, seed=0, num_blanks=(0, 1))
    excluded = {puzzle.clues for puzzle in everything[::2]}
    # Neither a puzzle of another size nor one with several solutions takes anything away.
    rest = sudoku.generate_puzzles(2448, seed=1, num_blanks=(0, 1), exclude=excluded | {PUZZLE.clues, BLANK})
    assert {puzzle.clues for puzzle in rest} == {puzzle.clues for puzzle in everything[1::2]}
    with pytest.raises(LiftError, match=r"at most 2448.*Widen num_blanks"):
        sudoku.generate_puzzles(2449, seed=1, num_blanks=(0, 1), exclude=excluded)


@pytest.mark.parametrize("num_blanks", [(-1, 4), (5, 4), (4, 13)])
def test_a_wrong_range_of_blanks_is_refused(num_blanks):
    with pytest.raises(LiftError, match="num_blanks must be a range within 0 to 12"):
        sudoku.generate_puzzles(1, seed=0, num_blanks=num_blanks)


def test_no_puzzles_are_no_request():
    with pytest.raises(LiftError, match="num_puzzles must be at least 1, got 0"):
        sudoku.generate_puzzles(0, seed=0)


def test_the_published_test_set_is_read(shared_dir):
    puzzles = sudoku.read_puzzles(shared_dir / "data" / "sudoku_4x4_test.csv")
    assert len(puzzles) == 250 and {puzzle.num_blanks for puzzle in puzzles} == {8}
    num_ambiguous = sum(len(sudoku.solve(puzzle.clues)) > 1 for puzzle in puzzles)
    assert num_ambiguous == sum(len(brute_force(puzzle.clues)) > 1 for puzzle in puzzles)
    assert 0.2 < num_ambiguous / 250 < 0.3


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"Puzzle,Answer\n", "without Solution"),
        (b"", "without Puzzle and Solution"),
        (b"Puzzle,Solution\n", "at least one puzzle"),
        (b"Puzzle,Solution\n0403,1423324143122134\n", "line 2: a 4x4 Sudoku puzzle must be 16 characters"),
        (b"Puzzle,Solution\n0403320143000000\n", "line 2: Solution must solve 0403320143000000, got ''"),
        (b"Puzzle,Solution\n0403320143000000,1423324143122143\n", "line 2: Solution must solve"),
        (b"Puzzle,Solution\n\xff\xfe,1\n", "must be a CSV file in UTF-8"),
    ],
)
def test_a_wrong_puzzle_file_is_refused(tmp_path, content, complaint):
    path = tmp_path / "puzzles.csv"
    path.write_bytes(content)
    with pytest.raises(LiftError, match=complaint) as error:
        sudoku.read_puzzles(path)
    assert "puzzles.csv" in str(error.value)


def test_a_missing_puzzle_file_is_named(tmp_path):
    with pytest.raises(LiftError, match=r"nowhere\.csv must be an existing CSV file"):
        sudoku.read_puzzles(tmp_path / "nowhere.csv")


def test_rows_are_trainer_input():
    assert sudoku.rows([PUZZLE]) == [{"prompt": "0403320143000000", "completion": "1423324143122134"}]


def test_rows_become_examples_of_32_tokens():
    (example,) = prepare_dataset(sudoku.rows([PUZZLE]), sudoku.build_tokenizer(), max_length=32)
    assert example["prompt_length"] == 16
    assert example["input_ids"] == [2 + int(character) for character in PUZZLE.clues + PUZZLE.solution]


def test_the_tokenizer_reads_characters_and_survives_saving(tmp_path):
    sudoku.build_tokenizer().save_pretrained(tmp_path)
    for tokenizer in (sudoku.build_tokenizer(), AutoTokenizer.from_pretrained(tmp_path)):
        assert len(tokenizer) == 7
        assert (tokenizer.pad_token_id, tokenizer.mask_token_id) == (0, 1)
        names = ("bos_token", "eos_token", "cls_token", "sep_token", "unk_token")
        assert [getattr(tokenizer, name) for name in names] == [None] * 5
        encoded = tokenizer("0403[MASK]1")
        assert encoded["input_ids"] == [2, 6, 2, 5, 1, 3] and "token_type_ids" not in encoded
        assert tokenizer.decode(encoded["input_ids"]) == "0403[MASK]1"
        assert tokenizer(["12", "1"], padding=True)["attention_mask"] == [[1, 1], [1, 0]]
        with pytest.raises(Exception, match="WordLevel"):
            tokenizer("5")


def test_grids_are_decoded_character_by_character():
    tokenizer = sudoku.build_tokenizer()
    # "[PAD]" and "0" are no digits of a grid, and 7 lies outside the tokenizer, inside a padded vocabulary.
    assert sudoku.decode_grids(tokenizer, torch.tensor([[3, 4, 5, 6, 1, 0, 2, 7]])) == ["12340???"]


class Oracle(torch.nn.Module):
    """A masked language model that knows the answer to each prompt."""

    def __init__(self, answers: dict[str, str]) -> None:
        super().__init__()
        self.anchor = torch.nn.Parameter(torch.zeros(()))
        self.config = SimpleNamespace(vocab_size=7)
        self.answers = answers
        self.batch_sizes: list[int] = []

    def forward(self, input_ids, attention_mask=None):
        self.batch_sizes.append(len(input_ids))
        tokenizer = sudoku.build_tokenizer()
        prompts = ["".join(tokenizer.convert_ids_to_tokens(row)) for row in input_ids[:, :16].tolist()]
        answers = [prompt + self.answers[prompt] for prompt in prompts]
        targets = torch.tensor(tokenizer(answers)["input_ids"])
        return SimpleNamespace(logits=torch.nn.functional.one_hot(targets, 7).float())


@pytest.mark.parametrize("batch_size", [500, 3, 1])
def test_the_score_counts_valid_grids_and_matches_with_the_key(batch_size):
    right = sudoku.generate_puzzles(4, seed=0, num_blanks=(5, 5))
    broken, untouched = sudoku.generate_puzzles(2, seed=1, num_blanks=(6, 6))
    ambiguous = Puzzle(BLANK, ALL_GRIDS[0])
    answers = {puzzle.clues: puzzle.solution for puzzle in right}
    answers |= {
        broken.clues: broken.solution[1:] + "1",
        untouched.clues: untouched.clues,
        BLANK: ALL_GRIDS[5],
    }
    model = Oracle(answers)
    score = sudoku.evaluate(
        model,
        sudoku.build_tokenizer(),
        [*right, broken, untouched, ambiguous],
        batch_size=batch_size,
        steps=2,
    )
    assert score == sudoku.SudokuScore(5 / 7, 4 / 7, {5: (4, 4), 6: (0, 2), 16: (1, 1)})
    assert sum(model.batch_sizes) == 2 * 7 and max(model.batch_sizes) == min(batch_size, 7)


def test_a_score_needs_puzzles_and_a_character_tokenizer():
    tokenizer = sudoku.build_tokenizer()
    with pytest.raises(LiftError, match="at least one puzzle"):
        sudoku.evaluate(Oracle({}), tokenizer, [])

    def by_pairs(texts, **kwargs):
        return {"input_ids": [[0] * 8 for _ in texts]}

    with pytest.raises(LiftError, match="one token a character"):
        sudoku.evaluate(Oracle({}), by_pairs, [PUZZLE])


GRID_WITHOUT_COLOUR = """\
╭──────┬──────╮
│(1) 4 │[2] 3 │
│ 3 !1!│ ·  1 │
├──────┼──────┤
│ 4  3 │ · !?!│
│ ·  · │ ·  · │
╰──────┴──────╯"""


def test_a_grid_tells_its_cells_apart_without_colour():
    grid = sudoku.render_grid(PUZZLE.clues, "1423310100" + "0?0000", newly_filled={2})
    assert str(grid) == GRID_WITHOUT_COLOUR
    assert printed(grid) == GRID_WITHOUT_COLOUR + "\n"
    assert printed(grid, color_system="truecolor", no_color=True) == GRID_WITHOUT_COLOUR + "\n"


def test_a_grid_tells_its_cells_apart_with_colour():
    grid = sudoku.render_grid(PUZZLE.clues, "1423310100" + "0?0000", newly_filled={2})
    lines = printed(grid, color_system="standard").splitlines()
    bar, end = "\x1b[2m│\x1b[0m", "\x1b[0m"
    filled, clue, new, masked, wrong = "\x1b[36m", "\x1b[1m", "\x1b[1;30;46m", "\x1b[2m", "\x1b[1;37;41m"
    assert lines[1] == f"{bar}{filled} 1 {end}{clue} 4 {end}{bar}{new} 2 {end}{clue} 3 {end}{bar}"
    assert lines[2] == f"{bar}{clue} 3 {end}{wrong} 1 {end}{bar}{masked} · {end}{clue} 1 {end}{bar}"


def printed(renderable, width=100, color_system=None, no_color=None):
    console = Console(
        width=width, force_terminal=color_system is not None, color_system=color_system, no_color=no_color
    )
    with console.capture() as capture:
        console.print(renderable)
    return "\n".join(strip_resets(line) for line in capture.get().split("\n")) if no_color else capture.get()


def strip_resets(line: str) -> str:
    return "".join(part.partition("m")[2] if i else part for i, part in enumerate(line.split("\x1b[")))


def frames_of(puzzle: Puzzle, order: list[int]) -> list[str]:
    """The state after each step of committing one cell, in this order."""
    return ["".join(c if i in order[: n + 1] else "0" for i, c in enumerate(puzzle.solution)) for n in range(16)]


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(16)), st.sampled_from([200, 100, 80, 40]))
def test_steps_fit_the_console_and_end_with_the_solution(order, width):
    steps = sudoku.render_steps(PUZZLE, frames_of(PUZZLE, order))
    lines = printed(steps, width).splitlines()
    assert str(steps).splitlines() == lines or width < 100
    room = {200: 6, 100: 6, 80: 4, 40: 2}[width]
    assert all(len(line) <= min(width, 100) for line in lines)
    assert lines[1].count("╭") == room
    last = [line[-15:] for line in lines[1:8]]
    digits = "".join(c for line in last for c in line if c in "1234·")
    assert digits == PUZZLE.solution
    first = "".join(c for line in lines[1:8] for c in line[:15] if c in "1234·")
    assert first.replace("·", "0") == PUZZLE.clues


def test_steps_that_change_no_blank_cell_are_left_out():
    clue_cells = [i for i, clue in enumerate(PUZZLE.clues) if clue != "0"]
    blank_cells = [i for i, clue in enumerate(PUZZLE.clues) if clue == "0"]
    frames = frames_of(PUZZLE, clue_cells + blank_cells)
    text = str(sudoku.render_steps(PUZZLE, frames[: len(clue_cells) + 2]))
    assert text.splitlines()[0].split() == ["puzzle", "step", "8", "step", "9"]
    # The first blank cell is new in the second grid and filled before in the third.
    assert text.count("[1]") == 1 and text.count("(1)") == 1 and "wrong" not in text


def test_a_broken_clue_is_explained():
    wrong = "1" + PUZZLE.solution[1:5] + "4" + PUZZLE.solution[6:]
    text = str(sudoku.render_steps(PUZZLE, [wrong]))
    assert "!4!" in text and "wrong" in text


def test_a_wrong_frame_is_refused():
    with pytest.raises(LiftError, match="at least one grid"):
        sudoku.render_steps(PUZZLE, [])
    with pytest.raises(LiftError, match="must be 16 characters, got 3"):
        sudoku.render_steps(PUZZLE, ["123"])
    with pytest.raises(LiftError, match="must be 16 characters, got 0"):
        sudoku.render_grid(PUZZLE.clues, "")
