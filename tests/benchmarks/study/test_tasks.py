from __future__ import annotations

import numpy as np
import pytest

from benchmarks.study.tasks import BASE_TASKS, TASKS, base_row, build_tokenizer, draw_rows
from lift import prepare_dataset


@pytest.fixture
def rng():
    return np.random.default_rng(3)


@pytest.mark.parametrize("name", [*TASKS, *BASE_TASKS])
def test_rows_of_a_task_are_as_long_as_it_says(rng, name):
    task = (TASKS | BASE_TASKS)[name]
    data = prepare_dataset(
        [row._asdict() for row in draw_rows(task, 20, rng)], build_tokenizer(), max_length=64, show_progress=False
    )
    assert {len(row["input_ids"]) - row["prompt_length"] for row in data} == {task.response_length}
    assert len({row["prompt_length"] for row in data}) == 1
    assert build_tokenizer().decode(data[0]["input_ids"][-1:]) == "[EOS]"


def test_an_automaton_is_one_function_and_is_followed(rng):
    law = {}
    for row in draw_rows(TASKS["fsa"], 300, rng):
        _, state, *symbols = row.prompt.split()
        *steps, answer = row.completion.split(" . ")
        assert len(symbols) == len(steps) == 6
        for symbol, step in zip(symbols, steps, strict=True):
            *before, following = step.split()
            assert before == ["from", state, symbol, "to"]
            assert law.setdefault((state, symbol), following) == following
            state = following
        assert answer == f"answer {state}"
    assert len(law) > 60  # of 5 x 16


def test_depth_counts_open_brackets(rng):
    for row in draw_rows(TASKS["depth"], 50, rng):
        symbols, words = row.prompt.split()[1:], row.completion.split()
        levels = [0]
        for symbol in symbols:
            levels.append(max(0, levels[-1] + {"n0": 1, "n1": -1}.get(symbol, 0)))
        assert words[:-2] == [
            word for symbol, level in zip(symbols, levels[1:], strict=True) for word in (symbol, "is", str(level))
        ]
        assert words[-2:] == ["answer", str(min(9, max(levels)))]


def test_sort_orders_its_names_by_number(rng):
    for row in draw_rows(TASKS["sort6"], 50, rng):
        ranked = sorted(row.prompt.split()[1:], key=lambda name: int(name[1:]))
        assert len(set(ranked)) == 6
        assert row.completion == f"first {' then '.join(ranked)} answer {ranked[3]}"


def test_the_base_model_meets_no_row_of_a_task_but_shorter_ones_of_each_kind(rng):
    rows = [base_row(rng) for _ in range(400)]
    assert {row.prompt.split()[0] for row in rows} == {"ask", "sort", "text"}
    assert not [row for row in rows if "answer" in row.completion]
    assert max(row.completion.count("from") for row in rows) == 4
    assert max(row.prompt.count(" ") for row in rows if row.prompt.startswith("sort")) == 5


def test_rows_to_leave_out_are_left_out():
    first = draw_rows(TASKS["fsa"], 5, np.random.default_rng(0))
    others = draw_rows(TASKS["fsa"], 5, np.random.default_rng(0), exclude=set(first[:2]))
    assert others[:3] == first[2:]


def test_a_word_of_no_task_raises():
    with pytest.raises(Exception, match="WordLevel"):
        build_tokenizer()("nobody")
