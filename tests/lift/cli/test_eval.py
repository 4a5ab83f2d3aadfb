"""`lift eval` scores a model from local files, and keeps every prompt, output and verdict."""

from __future__ import annotations

import json
import sys

import pytest

from lift.cli import main
from lift.statistics import wilson_interval
from lift.tasks import sudoku
from tests.lift.support.tiny import tiny_model

pytest.importorskip("lm_eval", reason="lm-eval is not installed: pip install 'lift-kernels[eval]'")

NUM_PUZZLES = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("eval")
    tiny_model(5).save_pretrained(folder / "model")
    sudoku.build_tokenizer().save_pretrained(folder / "model")
    puzzles = sudoku.generate_puzzles(NUM_PUZZLES, seed=0)
    lines = ["Puzzle,Solution", *(f"{puzzle.clues},{puzzle.solution}" for puzzle in puzzles)]
    (folder / "puzzles.csv").write_text("\n".join(lines) + "\n")
    return folder


def evaluate(folder, output, *flags):
    return main(
        [
            "eval", "--model", str(folder / "model"), "--tasks", "sudoku_4x4_clues", "--output_dir", str(output),
            "--data_files", f"sudoku_4x4_clues={folder / 'puzzles.csv'}", *flags,
        ]
    )  # fmt: skip


def test_a_table_and_a_record_of_all_that_was_said(folder, tmp_path, capsys, monkeypatch):
    assert evaluate(folder, tmp_path, "--batch_size", "5") == 0
    out = capsys.readouterr().out
    record = json.loads((tmp_path / "evaluation.json").read_text())
    (task,) = record["tasks"]
    assert task["num_documents"] == len(task["documents"]) == NUM_PUZZLES
    puzzles = sudoku.read_puzzles(folder / "puzzles.csv")
    # As the demo scores it, to the puzzle.
    demo = sudoku.evaluate(tiny_model(5), sudoku.build_tokenizer(), puzzles)
    scores = {score["name"]: score for score in task["scores"]}
    assert (scores["score"]["value"], scores["match"]["value"]) == (demo.valid, demo.exact)
    assert scores["score"]["interval"] == list(wilson_interval(round(demo.valid * NUM_PUZZLES), NUM_PUZZLES))
    cells = 0
    for document, puzzle in zip(task["documents"], puzzles, strict=True):
        (output,) = document["outputs"]
        assert document["prompt"] == puzzle.clues
        assert sorted(output["unmask_step"]) == list(range(16)) and output["forwards"] == 16
        assert "".join(task["token_text"][str(token)] for token in output["token_ids"]).startswith(output["text"])
        cells += output["verdict"]["details"]["cells"]
    assert scores["cells"]["value"] == cells / sum(puzzle.num_blanks for puzzle in puzzles)
    assert record["versions"]["lm-eval"] and record["model_info"]["dtype"] == "float32"
    assert any(line.split()[:3] == ["sudoku_4x4_clues", "12", "score"] for line in out.splitlines())
    assert "device cpu, dtype float32, batch size 5, padding" in out
    assert "chance: 25 % of the cells." in out
    assert out.splitlines()[-1] == f"every answer: {tmp_path / 'evaluation.html'}"
    assert (tmp_path / "evaluation.html").read_bytes().startswith(b"<!doctype html>")
    # Once more: the answers are there, and nothing is asked.
    monkeypatch.setattr("lift.evaluation.answers.generate", None)
    assert evaluate(folder, tmp_path, "--batch_size", "3") == 0
    again = json.loads((tmp_path / "evaluation.json").read_text())["tasks"][0]
    assert again["documents"] == task["documents"] and again["scores"] == task["scores"]


def test_an_evaluation_is_not_replaced_by_another(folder, tmp_path, capsys, monkeypatch):
    assert evaluate(folder, tmp_path, "--limit", "2") == 0
    before = (tmp_path / "evaluation.json").read_bytes()
    monkeypatch.setattr("lift.evaluation.LiftLM", None)  # it is said before a model is loaded
    assert evaluate(folder, tmp_path, "--limit", "1", "--steps", "4") == 2
    words = f"{tmp_path} holds an evaluation with limit 2, not 1, steps unset, not 4: choose another --output_dir."
    assert words in capsys.readouterr().err and (tmp_path / "evaluation.json").read_bytes() == before


def test_a_few_forwards_are_enough_for_the_published_estimate(folder, tmp_path):
    assert evaluate(folder, tmp_path, "--limit", "1", "--num_forwards", "4", "--estimator", "published") == 0


def test_several_answers_to_a_prompt(folder, tmp_path):
    assert evaluate(folder, tmp_path, "--samples", "3", "--limit", "2", "--temperature", "1", "--seed", "7") == 0
    (task,) = json.loads((tmp_path / "evaluation.json").read_text())["tasks"]
    texts = [[output["text"] for output in document["outputs"]] for document in task["documents"]]
    assert [len(set(of_document)) for of_document in texts] == [3, 3]


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--tasks", "lift_humaneval"], "lift_humaneval has no file at nowhere: check the path."),
        (["--tasks", "sudoku_4x4_clues", "--block_length", "3", "--gen_length", "16"], "block_length must divide gen_length 16, got 3."),
        (["--tasks", "countdown", "--data_files", "other=x"], "data_files: 'other' is none of the tasks: write TASK=FILE."),
        (["--sampler", "nobody"], "--sampler must be one of"),
        (["--samples", "0"], "--samples must be at least 1, got 0."),
        (["--num_forwards", "15"], "--num_forwards must be at least 16, got 15: a standard error takes 8 estimates"),
        (["--output_dir", "/proc/none/scores"], "output_dir /proc/none/scores cannot be used: "),
        (["--output_dir", "/proc/version"], "output_dir /proc/version cannot be used: it is a file: choose another."),
        (["--tsks", "x"], "did you mean '--tasks'"),
    ],
)  # fmt: skip
def test_bad_flags_are_one_sentence(folder, tmp_path, capsys, flags, sentence):
    data = ["--data_files", "lift_humaneval=nowhere"] if "lift_humaneval" in flags else []
    assert evaluate(folder, tmp_path, *flags, *data) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("lift eval: ") and sentence in error


def test_programs_need_a_word_before_anything_is_generated(folder, tmp_path, capsys):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"prompt": "def f():", "test": "t", "entry_point": "f"}) + "\n")
    data = ["--tasks", "lift_humaneval", "--data_files", f"lift_humaneval={path}"]
    assert evaluate(folder, tmp_path, *data) == 2
    assert (
        "lift_humaneval runs programs that the model writes: allow it by --run_generated_code true."
        in capsys.readouterr().err
    )


def test_without_lm_eval_it_says_what_to_install(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "lm_eval.api.registry", None)
    assert evaluate(folder, tmp_path) == 2
    assert (
        "evaluation needs lm-eval, which is not installed: pip install 'lift-kernels[eval]'." in capsys.readouterr().err
    )


def test_outside_a_repository_git_is_not_heard(folder, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", "/")
    assert evaluate(folder, tmp_path / "out", "--limit", "1", "--steps", "1") == 0
    assert "git" not in capfd.readouterr().err


def test_the_tokenizer_may_lie_elsewhere(folder, tmp_path):
    tiny_model(5).save_pretrained(tmp_path / "model")
    (tmp_path / "puzzles.csv").write_bytes((folder / "puzzles.csv").read_bytes())
    words = ["--limit", "1", "--steps", "1"]
    assert evaluate(tmp_path, tmp_path / "out", *words) == 2
    assert evaluate(tmp_path, tmp_path / "out", *words, "--tokenizer_name_or_path", str(folder / "model")) == 0
