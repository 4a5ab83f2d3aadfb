"""Answers on disk: what a killed run left is kept, what is torn is dropped, what does not fit is refused."""

from __future__ import annotations

import json

import pytest

from lift import LiftError
from lift.cli.answer_file import AnswerFile

PROMPTS = ["a", "b", "c"]
SETTINGS = {"temperature": 0.5, "stop_ids": (3, 4), "system": ""}


def opened(path, rank=0, prompts=PROMPTS, settings=SETTINGS):
    return AnswerFile(path, prompts, settings, rank, lambda: None)


def write(file, row, sample=0):
    file.add((row, sample), {"prompt": PROMPTS[row], "id": row}, {"response": f"{row}-{sample}é"})


def responses(path):
    return [json.loads(line)["response"] for line in path.read_text("utf-8").splitlines()]


def test_lines_of_all_processes_are_merged_in_order_without_loss_or_copy(tmp_path):
    path = tmp_path / "out[1].jsonl"  # no pattern
    first, second = opened(path), opened(path, rank=1)
    write(first, 2), write(second, 1), write(second, 0, 1), write(first, 0)
    assert responses(path) == ["2-0é", "0-0é"]
    names = [(0, 0), (0, 1), (1, 0), (2, 0)]
    second.merge(names)
    first.merge(names)
    assert responses(path) == ["0-0é", "0-1é", "1-0é", "2-0é"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["out[1].jsonl", "out[1].jsonl.settings.json"]
    assert set(opened(path).answers) == set(names)
    assert json.loads(path.read_text("utf-8").splitlines()[0]) == {
        "prompt": "a", "id": 0, "row": 0, "sample": 0, "response": "0-0é",
    }  # fmt: skip


def test_a_killed_run_goes_on_behind_its_last_whole_line(tmp_path):
    path = tmp_path / "out.jsonl"
    first, second = opened(path), opened(path, rank=1)
    write(first, 0), write(second, 1), write(second, 2)
    for file in (path, tmp_path / "out.jsonl.part-1"):
        file.write_bytes(
            file.read_bytes()[: -3 if file != path else None] + (b'{"row": 2, "sa' if file == path else b"")
        )
    again = opened(path)  # on one process now
    assert set(again.answers) == {(0, 0), (1, 0)}
    write(again, 2)
    again.merge([(0, 0), (1, 0), (2, 0)])
    assert responses(path) == ["0-0é", "1-0é", "2-0é"]


def test_what_does_not_fit_is_refused_and_left_as_it_is(tmp_path):
    path = tmp_path / "out.jsonl"
    write(opened(path), 1)
    before = path.read_bytes()
    for options, sentence in (
        ({"settings": SETTINGS | {"temperature": 0.7}}, "written with temperature=0.5, and now it is 0.7: choose"),
        ({"settings": SETTINGS | {"seed": 1}}, "written with seed=None, and now it is 1"),
        ({"prompts": ["a", "x", "c"]}, "line 1 answers another prompt than row 1 has"),
        ({"prompts": ["a"]}, "line 1 answers another prompt than row 1 has"),
    ):
        with pytest.raises(LiftError, match=sentence):
            opened(path, **options)
        assert path.read_bytes() == before
    path.write_bytes(b"something else\n")
    with pytest.raises(LiftError, match="line 1 is no answer of lift sample"):
        opened(path)
    (tmp_path / "out.jsonl.settings.json").write_text("[1]")
    with pytest.raises(LiftError, match="is there, and no settings beside it"):
        opened(path)
    (tmp_path / "out.jsonl.settings.json").unlink()
    with pytest.raises(LiftError, match="is there, and no settings beside it"):
        opened(path)
    assert path.read_bytes() == b"something else\n"


def test_nothing_is_lost_where_another_process_writes_to_another_disk(tmp_path):
    path = tmp_path / "out.jsonl"
    write(file := opened(path), 1)
    with pytest.raises(LiftError, match="pass an --output in a folder that all processes share"):
        file.merge([(0, 0), (1, 0)])
    assert responses(path) == ["1-0é"]
