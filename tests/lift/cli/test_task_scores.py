"""Scores on tasks during a training: logged, those of `lift eval`, and without a trace in the training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file
from transformers import ModernBertConfig, ModernBertForMaskedLM

from lift.cli import main
from lift.statistics import wilson_interval
from lift.tasks import sudoku
from tests.lift.cli.support import TINY_MODEL, TINY_RUN
from tests.lift.support.tiny import prose_tokenizer

pytest.importorskip("lm_eval", reason="lm-eval is not installed: pip install 'lift-kernels[eval]'")

NUM_PUZZLES = 6
# With dropout, so that the global generator has a say in the weights.
RUN = [*TINY_RUN, "--model_config", json.dumps(TINY_MODEL | {"mlp_dropout": 0.2}), "--max_steps", "4"]
SAVING = ["--save_strategy", "steps", "--save_steps", "2", "--eval_steps", "2"]


@pytest.fixture(scope="module")
def puzzle_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("data") / "puzzles.csv"
    puzzles = sudoku.generate_puzzles(NUM_PUZZLES, seed=3, num_blanks=(1, 1))
    path.write_text("\n".join(["Puzzle,Solution", *(f"{p.clues},{p.solution}" for p in puzzles)]) + "\n")
    return path


def history(folder: Path, name: str) -> dict[int, dict]:
    lines = map(json.loads, (folder / "history.jsonl").read_text().splitlines())
    return {line["step"]: line for line in lines if name in line}


def test_scores_are_logged_and_the_training_is_the_same_also_after_a_resume(tmp_path, puzzle_file, capsys):
    plain, scored, resumed = (tmp_path / name for name in ("plain", "scored", "resumed"))
    scoring = ["--eval_tasks", "sudoku_4x4", "--eval_task_files", f"sudoku_4x4={puzzle_file}", "--eval_task_every", "3"]
    assert main(["train", *RUN, *SAVING, "--output_dir", str(plain)]) == 0
    assert main(["train", *RUN, *SAVING, *scoring, "--output_dir", str(scored)]) == 0
    go_on = ["--resume_from_checkpoint", str(scored / "checkpoint-2")]
    assert main(["train", *RUN, *SAVING, *scoring, *go_on, "--output_dir", str(resumed)]) == 0
    expected = load_file(plain / "model.safetensors")
    for folder in (scored, resumed):
        weights = load_file(folder / "model.safetensors")
        assert all(weights[name].equal(tensor) for name, tensor in expected.items())
        # As its model was trained: of the clues alone. Before the first step, every third, and after the last.
        entries = history(folder, "eval_sudoku_4x4_clues_score")
        assert list(entries) == [0, 3, 4]
        for entry in entries.values():
            share = entry["eval_sudoku_4x4_clues_score"]
            ends = [entry[f"eval_sudoku_4x4_clues_score_{end}"] for end in ("low", "high")]
            assert entry["eval_sudoku_4x4_clues_n"] == NUM_PUZZLES
            assert ends == list(wilson_interval(round(share * NUM_PUZZLES), NUM_PUZZLES))
    # That after the last step is what `lift eval` says of the model.
    files = ["--data_files", f"sudoku_4x4={puzzle_file}"]
    command = ["--model", str(scored), "--tasks", "sudoku_4x4", "--output_dir", str(tmp_path / "scores"), *files]
    assert main(["eval", *command]) == 0
    (task,) = json.loads((tmp_path / "scores" / "evaluation.json").read_text())["tasks"]
    last = history(scored, "eval_sudoku_4x4_clues_score")[4]
    for score in task["scores"]:
        assert last[f"eval_sudoku_4x4_clues_{score['name']}"] == pytest.approx(score["value"]), score
    assert "step 3: sudoku_4x4_clues, score " in " ".join(capsys.readouterr().err.split())


def test_own_rows_with_a_tokenizer_of_prose_are_scored_on_a_benchmark(tmp_path):
    tokenizer = prose_tokenizer()
    config = ModernBertConfig(
        **(TINY_MODEL | {"max_position_embeddings": 1024}), vocab_size=len(tokenizer), pad_token_id=0
    )
    ModernBertForMaskedLM(config).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    rows = [{"prompt": f"{i} + 1 =", "completion": str(i + 1)} for i in range(8)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    questions = [{"question": f"What is {i} + 1?", "answer": f"#### {i + 1}"} for i in range(3)]
    (tmp_path / "gsm8k.jsonl").write_text("".join(json.dumps(row) + "\n" for row in questions))
    arguments = [
        "train", "--model_name_or_path", str(tmp_path / "model"), "--train_data", str(tmp_path / "rows.jsonl"),
        "--eval_tasks", "lift_gsm8k", "--eval_task_files", f"lift_gsm8k={tmp_path / 'gsm8k.jsonl'}",
        "--eval_task_sampling", '{"gen_length": 8, "steps": 2}', "--eval_task_limit", "2", "--max_steps", "2",
        "--mask_token_id", "5",
    ]  # fmt: skip
    assert main([*arguments, "--output_dir", str(tmp_path / "out")]) == 0
    entries = history(tmp_path / "out", "eval_lift_gsm8k_score")
    assert list(entries) == [0, 1, 2] and {entry["eval_lift_gsm8k_n"] for entry in entries.values()} == {2}


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--eval_tasks", "countdown"], "the tokenizer cannot"),
        (["--eval_tasks", "lift_mbpp", "--eval_task_files", "lift_mbpp={folder}/mbpp.jsonl"], "lift_mbpp runs programs that the model writes: score it by lift eval."),
        (["--eval_tasks", "lift_gsm8k", "--eval_task_files", "lift_gsm8k=nowhere"], "lift_gsm8k has no file at nowhere: check the path."),
        (["--eval_tasks", "sudoku_4x4", "--eval_task_files", "countdown=x"], "'countdown' is none of the tasks: write TASK=FILE."),
        (["--eval_tasks", "sudoku_4x4", "--eval_task_sampling", '{"step": 3}'], "'step' is no option of the model lift"),
        (["--eval_tasks", "sudoku_4x4", "--eval_task_sampling", "x"], "eval_task_sampling must be a mapping"),
        (["--eval_tasks", "sudoku_4x4", "--eval_task_every", "0"], "eval_task_every must be at least 1, got 0."),
        (["--eval_task_every", "5"], "eval_task_every belongs to eval_tasks: name the tasks too, or leave it out."),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_sentence_and_leaves_nothing(tmp_path, capsys, flags, sentence):
    (tmp_path / "mbpp.jsonl").write_text('{"prompt": "p", "test_list": ["assert 1"]}\n')
    flags = [flag.replace("{folder}", str(tmp_path)) for flag in flags]
    assert main(["train", *RUN, *flags, "--output_dir", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("lift train: ") and sentence in error
    assert not list(tmp_path.glob("out/*"))
