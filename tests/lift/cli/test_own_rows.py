"""The user's own rows as a task: which are trained on, which are held out, and what is said of them."""

from __future__ import annotations

import dataclasses
import json

import pytest
from rich.console import Console
from transformers import AutoTokenizer, TrainingArguments

from lift.cli.arguments import DataArguments, ModelArguments
from lift.cli.own_rows import open_rows
from lift.data import encode_prompt
from lift.errors import LiftError
from tests.lift.support.tiny import tiny_config

COLUMNS = {"prompt_column": "question", "completion_column": "answer"}


def prompts(dataset) -> list[list[int]]:
    return [ids[:16] for ids in dataset["input_ids"]]


def test_the_last_rows_are_held_out(tmp_path, model_folder, rows_file):
    model, config = ModelArguments(model_name_or_path=str(model_folder)), tiny_config(tmp_path / "out", max_length=40)
    task = open_rows(DataArguments(train_data=str(rows_file), num_eval_rows=3, **COLUMNS), model, config)
    asked = [[2 + int(c) for c in json.loads(line)["question"]] for line in rows_file.read_text().splitlines()]
    assert prompts(task.train) + prompts(task.eval) == asked and len(task.eval) == 3
    # By default never more than half; as many as are asked for.
    data = DataArguments(train_data=str(rows_file), num_eval_rows=11, **COLUMNS)
    assert len(open_rows(data, model, config).train) == 1
    task = open_rows(DataArguments(train_data=str(rows_file), **COLUMNS), model, config)
    assert prompts(task.train) + prompts(task.eval) == asked and len(task.eval) == 6
    data = DataArguments(
        train_data=str(rows_file), eval_data=str(rows_file), max_train_rows=5, num_eval_rows=2, **COLUMNS
    )
    task = open_rows(data, model, config)
    assert (prompts(task.train), prompts(task.eval)) == (asked[:5], asked[:2])


def test_rows_come_from_several_files_and_a_pattern(tmp_path, model_folder, rows_file):
    lines = [json.loads(line) for line in rows_file.read_text().splitlines()]
    for name, part in {"a.csv": lines[:5], "b.csv": lines[5:8]}.items():
        (tmp_path / name).write_text("answer,question\n" + "".join(f"{r['answer']},{r['question']}\n" for r in part))
    model, config = ModelArguments(model_name_or_path=str(model_folder)), tiny_config(tmp_path / "out", max_length=40)
    asked = [[2 + int(c) for c in row["question"]] for row in lines]
    data = DataArguments(train_data=[str(rows_file), str(tmp_path / "*.csv")], eval_data=[str(rows_file)], **COLUMNS)
    task = open_rows(data, model, config)
    assert prompts(task.train) == asked + asked[:8] and prompts(task.eval) == asked
    assert task.description == f"{rows_file}, {tmp_path}/*.csv"


def test_a_chosen_template_is_the_tokenizers_own_and_is_sampled_with(tmp_path, model_folder, rows_file):
    (template := tmp_path / "mine.jinja").write_text(
        "{% for m in messages %}{{ '[PAD]' if is_loud and loop.first }}{{ m.content }}{% endfor %}{{ '' if add_generation_prompt }}"
    )
    data = DataArguments(
        train_data=str(rows_file), chat_template=str(template), chat_template_kwargs='{"is_loud": true}', **COLUMNS
    )
    task = open_rows(data, ModelArguments(model_name_or_path=str(model_folder)), tiny_config(tmp_path, max_length=40))
    task.tokenizer.save_pretrained(tmp_path / "saved")
    row = json.loads(rows_file.read_text().splitlines()[0])
    prompt = encode_prompt(row["question"], AutoTokenizer.from_pretrained(tmp_path / "saved"))
    assert prompt == [0] + [2 + int(c) for c in row["question"]]
    assert task.train[0]["input_ids"][: task.train[0]["prompt_length"]] == prompt


def test_no_mask_token_is_asked_for_where_none_is_used(tmp_path, model_folder, rows_file):
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        if (path := model_folder / name).exists():
            path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "mask_token"}))
    model, data = (
        ModelArguments(model_name_or_path=str(model_folder)),
        DataArguments(train_data=str(rows_file), **COLUMNS),
    )
    config = tiny_config(tmp_path / "out", max_length=40)
    with pytest.raises(LiftError, match="mask token"):
        open_rows(data, model, config)
    assert len(open_rows(data, model, dataclasses.replace(config, corruption="uniform")).train) == 6


def test_a_single_row_cannot_be_split(tmp_path, model_folder, rows_file):
    model, config = ModelArguments(model_name_or_path=str(model_folder)), tiny_config(tmp_path)
    data = DataArguments(train_data=str(rows_file), max_train_rows=1, **COLUMNS)
    with pytest.raises(LiftError, match=r"^max_train_rows=1 takes one row of train_data .*rows.*, too few to hold any"):
        open_rows(data, model, config)
    (tmp_path / "one.jsonl").write_text(rows_file.read_text().splitlines()[0])
    data = DataArguments(train_data=str(tmp_path / "one.jsonl"), **COLUMNS)
    with pytest.raises(LiftError, match=r"^train_data .*one.jsonl has one row, too few to hold any out: pass --eval_d"):
        open_rows(data, model, config)
    data = DataArguments(train_data=str(rows_file), max_train_rows=4, num_eval_rows=4, **COLUMNS)
    with pytest.raises(LiftError, match="none of the 4 rows of train_data that max_train_rows=4 takes to train on"):
        open_rows(data, model, config)


@pytest.mark.parametrize("bad", [3, 11])
def test_a_bad_row_is_named_by_its_file_and_its_number_there(tmp_path, model_folder, rows_file, bad):
    model, config = ModelArguments(model_name_or_path=str(model_folder)), tiny_config(tmp_path, max_length=40)
    lines = [json.loads(line) for line in rows_file.read_text().splitlines()]
    lines[bad]["answer"] = None
    (path := tmp_path / "bad.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    sentence = rf"^{path}: row {bad} \(counted from 0\): column 'answer' is null"
    for train, held_out in ((path, None), (rows_file, path), ([rows_file, path], None), (path, rows_file)):
        files = [str(file) for file in train] if isinstance(train, list) else [str(train)]
        data = DataArguments(
            train_data=files, eval_data=None if held_out is None else [str(held_out)], num_eval_rows=None, **COLUMNS
        )
        with pytest.raises(LiftError, match=sentence):
            open_rows(data, model, config)


def test_more_rows_than_there_are_cannot_be_evaluated_on(tmp_path, model_folder, rows_file, caplog):
    model, config = ModelArguments(model_name_or_path=str(model_folder)), tiny_config(tmp_path)
    data = DataArguments(train_data=str(rows_file), num_eval_rows=12, **COLUMNS)
    with pytest.raises(LiftError, match="num_eval_rows=12 leaves none of the 12 rows of train_data to train on"):
        open_rows(data, model, config)
    task = open_rows(dataclasses.replace(data, num_eval_rows=13, eval_data=str(rows_file)), model, config)
    assert len(task.train) == len(task.eval) == 12
    assert "eval_data has 12 rows, fewer than num_eval_rows=13: all are evaluated on." in caplog.text


def test_tokenising_shows_bars_where_they_are_wanted(tmp_path, model_folder, rows_file, monkeypatch, capfd):
    model, data = (
        ModelArguments(model_name_or_path=str(model_folder)),
        DataArguments(train_data=str(rows_file), **COLUMNS),
    )
    capfd.readouterr()
    open_rows(data, model, tiny_config(tmp_path, disable_tqdm=False))
    assert "Tokenising: 100%" in capfd.readouterr().err
    open_rows(data, model, tiny_config(tmp_path, disable_tqdm=True))
    monkeypatch.setattr(TrainingArguments, "process_index", 1)
    open_rows(data, model, tiny_config(tmp_path, disable_tqdm=False))
    assert capfd.readouterr().err == ""


def test_only_the_loss_is_known_of_them(tmp_path, model_folder, rows_file):
    data = DataArguments(train_data=str(rows_file), **COLUMNS)
    task = open_rows(data, ModelArguments(model_name_or_path=str(model_folder)), tiny_config(tmp_path / "out"))
    assert task.description == str(rows_file)
    assert task.score(None) == {} and task.sentence({"eval_loss": 1.23456}) == "evaluation loss 1.235"
    console = Console()
    with console.capture() as capture:
        task.report(console, None, tmp_path)
    task.draw({}, {}, tmp_path / "out")
    assert capture.get() == "" and not (tmp_path / "out").exists()
