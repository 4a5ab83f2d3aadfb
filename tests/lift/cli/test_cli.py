"""The command line as its users meet it: what it prints, leaves and refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from transformers import AutoModelForMaskedLM, AutoTokenizer

from lift.cli import main
from lift.cli.arguments import parse
from lift.errors import LiftError
from lift.recipes import preset_names
from lift.tasks import sudoku
from tests.lift.support.tiny import tiny_model
from tests.transformers_version import needs_packing

TINY_MODEL = {
    "model_type": "modernbert", "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1,
    "num_attention_heads": 2, "max_position_embeddings": 64, "layer_types": ["full_attention"], "bos_token_id": None,
    "eos_token_id": None, "cls_token_id": None, "sep_token_id": None,
}  # fmt: skip
TINY_RUN = [
    "--preset", "sudoku", "--model_config", json.dumps(TINY_MODEL), "--num_train_puzzles", "60", "--num_test_puzzles",
    "20", "--max_steps", "3", "--per_device_train_batch_size", "8", "--logging_steps", "1", "--warmup_steps", "1",
]  # fmt: skip


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    tiny_model().save_pretrained(folder)
    sudoku.build_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def rows_file(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    rows = [{"question": p.clues, "answer": p.solution} for p in sudoku.generate_puzzles(12, seed=0)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_task_run_leaves_model_metrics_and_pictures(tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["train", *TINY_RUN, "--output_dir", str(out)]) == 0
    assert {p.name for p in out.iterdir()} >= {
        "model.safetensors", "config.json", "tokenizer.json", "metrics.json", "loss_curve.png", "accuracy_by_difficulty.png",
    }  # fmt: skip
    metrics = json.loads((out / "metrics.json").read_text())
    assert (out / "metrics.json").stat().st_mode == (out / "config.json").stat().st_mode
    assert metrics["steps"] == 3 and 0 <= metrics["after"]["held_out"]["valid"] <= 1
    assert sum(n for _, n in metrics["after"]["held_out"]["by_blanks"].values()) == 20
    model, tokenizer = AutoModelForMaskedLM.from_pretrained(out), AutoTokenizer.from_pretrained(out)
    assert model.config.mask_token_id == tokenizer.mask_token_id
    shown = capsys.readouterr().out
    for words in (
        "before training: 0.0% of 20 held-out puzzles solved",
        "after training:",
        "solved step by step",
        "wrote",
    ):
        assert words in shown

    assert main(["train", *TINY_RUN, "--output_dir", str(out)]) == 2
    assert "is not empty: choose another, continue with --resume_from_checkpoint true" in capsys.readouterr().err
    assert main(["train", *TINY_RUN, "--output_dir", str(out), "--overwrite_output_dir", "true"]) == 0

    assert main(["sample", "--model", str(out), "--prompt", "0204300000100003"]) == 0
    sampled = capsys.readouterr().out.strip().splitlines()[-1]
    assert len(sampled) == 16 and set(sampled) <= set("01234")


def test_own_rows_train_in_every_method_and_resume(tmp_path, model_folder, rows_file, capsys):
    columns = ["--prompt_column", "question", "--completion_column", "answer", "--max_length", "40"]
    for method in ("sft", "lift2", "lift3"):
        out = tmp_path / method
        arguments = [
            "train", "--model_name_or_path", str(model_folder), "--train_data", str(rows_file), *columns, "--method", method,
            "--num_eval_rows", "3", "--output_dir", str(out), "--max_steps", "2", "--save_steps", "1",
        ]  # fmt: skip
        assert main(arguments) == 0
        assert json.loads((out / "metrics.json").read_text())["method"] == method
        assert (out / "checkpoint-1" / "model.safetensors").is_file()
    (out / "checkpoint-9").mkdir()  # as a run leaves it that is killed while it writes
    assert main([*arguments, "--max_steps", "3", "--resume_from_checkpoint", "true"]) == 0
    assert json.loads((out / "metrics.json").read_text())["steps"] == 3


@needs_packing
def test_own_rows_are_packed(tmp_path, model_folder, rows_file, capsys):
    arguments = [
        "train", "--model_name_or_path", str(model_folder), "--train_data", str(rows_file), "--prompt_column", "question",
        "--completion_column", "answer", "--max_length", "100", "--packing", "true", "--num_eval_rows", "3",
        "--output_dir", str(tmp_path / "out"), "--num_train_epochs", "2", "--per_device_train_batch_size", "1",
    ]  # fmt: skip
    assert main(arguments) == 2
    assert "packing leaves no padding to train on: set pad_in_loss=False" in capsys.readouterr().err
    assert main([*arguments, "--pad_in_loss", "false"]) == 0
    assert "9 examples were packed into 3 rows of at most 100 tokens, 96 % full" in capsys.readouterr().err
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["steps"] == 6


def test_published_puzzles_are_kept_out_and_scored(tmp_path, shared_dir):
    out = tmp_path / "out"
    published = shared_dir / "data" / "sudoku_4x4_test.csv"
    assert main(["train", *TINY_RUN, "--test_puzzles", str(published), "--output_dir", str(out)]) == 0
    scores = json.loads((out / "metrics.json").read_text())["after"]["published"]
    assert {"valid", "exact"} <= scores.keys() and scores["by_blanks"]["8"][1] == 250


def test_a_flag_wins_over_the_file_and_the_file_over_the_preset(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"learning_rate": 0.5, "max_steps": 7, "output_dir": str(tmp_path / "out")}))
    _, data, _, config = parse([str(path), "--preset", "sudoku", "--max_steps", "9"])
    assert (config.learning_rate, config.max_steps, config.method, data.task) == (0.5, 9, "lift3", "sudoku")


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_parses(name, tmp_path):
    # The large ones ask for bfloat16, which transformers refuses without a GPU unless the CPU is asked for.
    assert parse(["--preset", name, "--output_dir", str(tmp_path), "--use_cpu", "true"])


class Files:
    """What a failing call refers to; each file is written when it is asked for."""

    def __init__(self, tmp: Path, model: Path, rows: Path) -> None:
        self.tmp = tmp
        self.model = ["--model_name_or_path", str(model)]
        self.data = ["--train_data", str(rows)]
        self.columns = ["--prompt_column", "question", "--completion_column", "answer"]
        self.own = [*self.model, *self.data, *self.columns]

    def write(self, name: str, text: str) -> str:
        (self.tmp / name).write_text(text)
        return str(self.tmp / name)


def model_config(**changes) -> list[str]:
    return [*TINY_RUN, "--model_config", json.dumps(TINY_MODEL | changes)]


MPNET = {"model_type": "mpnet", "hidden_size": 8, "num_attention_heads": 1, "intermediate_size": 8}

# name -> (arguments beside --output_dir, what the sentence must say)
FAILING = {
    "missing file": (lambda f: [*f.model, *f.columns, "--train_data", "none.jsonl"], "none.jsonl"),
    "unknown column": (
        lambda f: [*f.model, *f.data, "--prompt_column", "prmpt", "--completion_column", "answer"],
        "prmpt",
    ),
    "no columns named": (lambda f: [*f.model, *f.data], "question"),
    "unknown format": (
        lambda f: [*f.model, *f.data, "--data_format", "gsm"],
        "data_format must be one of s1k, s1k-1.1",
    ),
    "rows of another format": (
        lambda f: [*f.model, *f.data, "--data_format", "gsm8k"],
        "row 0 (counted from 0) does not have the format 'gsm8k': the field 'answer' has no #### before its result",
    ),
    "empty data set": (lambda f: [*f.model, *f.columns, "--train_data", f.write("empty.jsonl", "")], "empty"),
    "prompt too long": (lambda f: [*f.own, "--max_length", "10"], "max_length"),
    "mask id outside": (lambda f: [*f.own, "--mask_token_id", "500"], "500"),
    "unknown method": (
        lambda f: [*f.own, "--method", "lift4"],
        "method must be one of sft, lift2, lift3, gift, cart, easy, middle, hard, got 'lift4'",
    ),
    "unknown flag": (lambda f: [*f.own, "--lerning_rate", "1"], "'--lerning_rate', did you mean 'learning_rate'?"),
    "wrong type": (lambda f: [*f.own, "--max_steps", "many"], "invalid int value: 'many'"),
    "unknown preset": (lambda f: ["--preset", "chess"], "unknown preset 'chess': use one of"),
    "unknown task": (lambda f: ["--task", "chess"], "unknown task 'chess': use one of sudoku"),
    "no data": (lambda f: f.model, "no training data: pass --train_data"),
    "missing model": (lambda f: [*f.data, "--model_name_or_path", str(f.tmp / "nothing")], "nothing"),
    "no config file": (lambda f: ["none.yaml"], "no configuration file at none.yaml"),
    "broken yaml": (lambda f: [f.write("bad.yaml", "a: [1")], "is not valid YAML"),
    "unknown key": (lambda f: [f.write("key.yaml", "lerning_rate: 1")], "unknown key 'lerning_rate'"),
    "empty model config": (
        lambda f: [*TINY_RUN, "--model_config", "{}"],
        "model_config must be a mapping with model_type",
    ),
    "unknown model type": (lambda f: model_config(model_type="nope"), "nope"),
    "head too small": (lambda f: model_config(vocab_size=5), "the model's head only 5 rows"),
    "unknown family": (lambda f: [*TINY_RUN, "--model_config", json.dumps(MPNET)], "model type 'mpnet'"),
    "not a checkpoint": (lambda f: [*f.own, "--resume_from_checkpoint", "nowhere"], "no checkpoint folder at nowhere"),
    "nothing to resume": (lambda f: [*f.own, "--resume_from_checkpoint", "true"], "no checkpoint in"),
    "puzzle file": (lambda f: [*TINY_RUN, "--test_puzzles", "none.csv"], "none.csv"),
}


@pytest.mark.parametrize("name", FAILING)
def test_bad_input_is_one_sentence_and_leaves_nothing(name, tmp_path, model_folder, rows_file, capsys):
    make_arguments, words = FAILING[name]
    arguments, out = make_arguments(Files(tmp_path, model_folder, rows_file)), tmp_path / "out"
    capsys.readouterr()
    positional = [arguments.pop(0)] if arguments[0].endswith(".yaml") else []
    assert main(["train", *positional, "--output_dir", str(out), *arguments]) == 2
    captured = capsys.readouterr()
    lines = [line for line in captured.err.replace("\r", "\n").splitlines() if line and "examples/s" not in line]
    assert len(lines) == 1 and lines[0].startswith("lift train: ") and words in lines[0]
    assert not out.exists()


def test_a_tokenizer_without_mask_token_is_named(tmp_path, model_folder, rows_file, capsys):
    tokenizer = sudoku.build_tokenizer()
    tokenizer.mask_token = None
    tokenizer.save_pretrained(model_folder)
    arguments = [
        "--model_name_or_path",
        str(model_folder),
        "--train_data",
        str(rows_file),
        "--output_dir",
        str(tmp_path / "out"),
    ]
    assert main(["train", *arguments]) == 2
    assert "--mask_token_id" in capsys.readouterr().err


def test_files_that_no_run_wrote_are_never_replaced(tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("years of work")
    assert main(["train", *TINY_RUN, "--output_dir", str(tmp_path), "--overwrite_output_dir", "true"]) == 2
    assert "holds files that no training run wrote" in capsys.readouterr().err
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_without_a_configuration_no_output_folder_is_guessed():
    with pytest.raises(LiftError, match="no output folder: pass --output_dir FOLDER"):
        parse(["--preset", "sudoku"])


def test_help_doctor_and_unknown_commands(capsys):
    assert main([]) == main(["--help"]) == 0
    assert "commands:" in capsys.readouterr().out
    assert main(["doctor"]) == 0
    report = capsys.readouterr().out
    assert "cpu: torch" in report
    configurations = Path(report.strip().splitlines()[-1].partition("--config_file: ")[2])
    assert {path.name for path in configurations.iterdir()} == {"ddp.yaml", "fsdp2.yaml", "zero2.yaml", "zero3.yaml"}
    assert main(["trian"]) == 2
    assert capsys.readouterr().err.startswith("lift: unknown command 'trian': use one of train")


def test_as_a_real_process(tmp_path):
    call = [
        sys.executable,
        "-m",
        "lift.cli",
        "train",
        "--preset",
        "sudoku",
        "--output_dir",
        str(tmp_path / "out"),
        "--method",
        "x",
    ]
    result = subprocess.run(call, capture_output=True, text=True, check=False)
    assert result.returncode == 2 and result.stdout == ""
    assert (
        result.stderr
        == "lift train: method must be one of sft, lift2, lift3, gift, cart, easy, middle, hard, got 'x'.\n"
    )


def test_held_out_and_published_puzzles_are_not_trained_on(tmp_path):
    from lift.cli.sources import open_source

    puzzles = sudoku.generate_puzzles(300, seed=7, num_blanks=(8, 8))
    path = tmp_path / "published.csv"
    path.write_text("Puzzle,Solution\n" + "".join(f"{p.clues},{p.solution}\n" for p in puzzles))
    model, data, _, config = parse([*TINY_RUN, "--test_puzzles", str(path), "--output_dir", str(tmp_path / "out")])
    data.num_train_puzzles, data.num_test_puzzles = 5000, 400
    source = open_source(data, model, config)
    digits = source.tokenizer.batch_decode([ids[:16] for ids in source.train["input_ids"]])
    assert len(set(digits)) == 5000
    assert not set(digits) & ({p.clues for p in puzzles} | {p.clues for p in source.test})


def test_a_prompt_that_the_tokenizer_cannot_read_is_one_sentence(model_folder, capsys):
    assert main(["sample", "--model", str(model_folder), "--prompt", "31x2000000000000"]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("lift sample: the prompt: the tokenizer cannot encode the text")
