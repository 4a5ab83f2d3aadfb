"""`lift train` on bad input: one sentence, exit status 2, and nothing left."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lift.cli import main
from lift.tasks import sudoku
from lift.training import LiftTrainer
from tests.lift.cli.support import TINY_MODEL, TINY_RUN


class Files:
    """What a failing call refers to; each file is written when it is asked for."""

    def __init__(self, tmp: Path, model: Path, rows: Path) -> None:
        self.tmp = tmp
        self.model = ["--model_name_or_path", str(model)]
        self.data = ["--train_data", str(rows)]
        self.columns = ["--prompt_column", "question", "--completion_column", "answer"]
        self.own = [*self.model, *self.data, *self.columns]

    def without_tokenizer(self) -> str:
        """A folder of which transformers 5 makes a BERT tokenizer that knows its special tokens only."""
        folder = self.tmp / "weights"
        folder.mkdir()
        config = {"model_type": "bert", "architectures": ["BertForMaskedLM"], "vocab_size": 5}
        (folder / "config.json").write_text(json.dumps(config))
        return str(folder)

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
        "method must be one of sft, lift2, lift3, gift, cart, ppots, mirror, blockwise, confidence, puma, margin, easy, middle, hard, got 'lift4'",
    ),
    "label smoothing": (lambda f: [*f.own, "--label_smoothing_factor", "0.1"], "fused loss has no label smoothing"),
    "unknown metric": (
        lambda f: [
            *f.model,
            "--train_data",
            "unread.jsonl",
            "--metric_for_best_model",
            "f1",
            "--eval_strategy",
            "epoch",
        ],
        "metric_for_best_model=f1 is not what the evaluation gives: set it to eval_loss",
    ),
    "best without checkpoints": (
        lambda f: [
            *f.model,
            "--train_data",
            "unread.jsonl",
            "--load_best_model_at_end",
            "true",
            "--save_strategy",
            "no",
        ],
        "load_best_model_at_end goes back to the best checkpoint, and save_strategy=no saves none",
    ),
    "resume from no checkpoint": (
        lambda f: [*f.own, "--resume_from_checkpoint", str(f.tmp)],
        "is no checkpoint that was written to its end",
    ),
    "unknown flag": (lambda f: [*f.own, "--lerning_rate", "1"], "'--lerning_rate', did you mean '--learning_rate'?"),
    "wrong type": (lambda f: [*f.own, "--max_steps", "many"], "--max_steps must be a whole number, got 'many'."),
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
    "a key twice": (lambda f: [f.write("twice.yaml", "seed: 1\nseed: 2\n")], "the key 'seed' stands twice"),
    "no tokenizer": (
        lambda f: [*f.data, *f.columns, "--model_name_or_path", f.without_tokenizer()],
        "; save the model's tokenizer there, or pass --tokenizer_name_or_path.",
    ),
    "more rows than there are": (
        lambda f: [*f.own, "--num_eval_rows", "12"],
        "num_eval_rows=12 leaves none of the 12 rows of train_data to train on",
    ),
    "fewer rows than a batch": (
        lambda f: [*f.own, "--dataloader_drop_last", "true", "--per_device_train_batch_size", "7"],
        "dataloader_drop_last leaves no batch of the 6 rows to train on, as one takes 7",
    ),
    "a schedule": (
        lambda f: [*f.own, "--lr_scheduler_kwargs", '{"x": 1}'],
        "lr_scheduler_kwargs has 'x', and lr_scheduler_type=linear takes no options: correct it, or leave it out.",
    ),
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
    lines = [line for line in captured.err.replace("\r", "\n").splitlines() if line.strip()]
    lines = [line for line in lines if "examples/s" not in line and not line.startswith("evaluating |")]  # bars
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


@pytest.fixture
def finished_run(tmp_path, model_folder, rows_file):
    """An output folder of an earlier run, with rows of the user in it."""
    out = tmp_path / "out"
    out.mkdir()
    rows_file.rename(out / "rows.jsonl")
    for name in ("metrics.json", "model.safetensors"):
        (out / name).write_text("finished")
    return out


def replacing(out, model, rows):
    columns = ["--prompt_column", "question", "--completion_column", "answer", "--max_steps", "1"]
    words = ["--model_name_or_path", str(model), "--train_data", str(rows), "--output_dir", str(out)]
    return ["train", *words, *columns, "--num_eval_rows", "2", "--overwrite_output_dir", "true"]


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_rows_in_the_folder_that_is_to_be_replaced_are_refused(finished_run, model_folder, capsys):
    before = contents(finished_run)
    assert main(replacing(finished_run, model_folder, finished_run / "*.jsonl")) == 2
    assert f"would delete {finished_run / 'rows.jsonl'}, which train_data names" in capsys.readouterr().err
    assert contents(finished_run) == before


@pytest.mark.parametrize("where", ["get_batch_samples", "create_optimizer", "evaluate"])
def test_a_run_that_is_refused_late_gives_back_what_it_was_to_replace(
    finished_run, model_folder, tmp_path, monkeypatch, where, capsys
):
    (finished_run / "rows.jsonl").rename(rows := tmp_path / "rows.jsonl")
    before, kept = contents(finished_run), sorted(path.name for path in tmp_path.iterdir())

    def fail(self, *args, **kwargs):
        raise TypeError("of a library")

    with monkeypatch.context() as patch:
        patch.setattr(LiftTrainer, where, fail)
        assert main(replacing(finished_run, model_folder, rows)) == 2
    assert contents(finished_run) == before and sorted(path.name for path in tmp_path.iterdir()) == kept
    link = tmp_path / "link"
    link.symlink_to(finished_run)
    assert main(replacing(link, model_folder, rows)) == 0
    assert link.is_symlink() and contents(finished_run)["metrics.json"] != b"finished"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*kept, "link"])
    (finished_run / "checkpoint-9").mkdir()
    assert main(replacing(link, model_folder, rows)) == 0 and not (finished_run / "checkpoint-9").exists()


@pytest.mark.parametrize("is_late", [False, True])
def test_a_failure_of_the_training_is_a_sentence_before_the_first_step_and_a_traceback_after_it(
    tmp_path, capsys, monkeypatch, is_late
):
    def fail(self, *args, **kwargs):
        raise KeyError("of a library")

    monkeypatch.setattr(LiftTrainer, "save_model" if is_late else "get_batch_samples", fail)
    call = ["train", *TINY_RUN, "--save_strategy", "no", "--output_dir", str(tmp_path / "a" / "out")]
    if is_late:
        with pytest.raises(KeyError, match="of a library"):
            main(call)
    else:
        assert main(call) == 2
        assert capsys.readouterr().err.endswith("lift train: KeyError: 'of a library'. LIFT_DEBUG=1 shows where.\n")
    assert (tmp_path / "a").exists() == is_late
