"""A model and its rows, opened as a training would."""

from __future__ import annotations

import pytest

from lift.cli.measured_arguments import MeasuredArguments, parse_measured
from lift.cli.measured_model import open_measured, processes
from lift.errors import LiftError
from lift.models.loading import load_model, load_tokenizer
from lift.models.training_record import record_mask_token


def test_model_rows_and_what_a_record_says_of_them(model_folder, rows_file):
    words = ["--model", str(model_folder), "--train_data", str(rows_file), "--num_eval_rows", "4", "--rows", "eval"]
    words += ["--prompt_column", "question", "--completion_column", "answer"]
    parsed = parse_measured(MeasuredArguments, words, name="ask", description="Ask.")
    measured = open_measured(parsed, "lift ask", 0)
    assert len(measured.dataset) == 4 and "prompt_length" in measured.dataset.column_names
    assert measured.loaded.mask_token_id == 1
    facts = measured.facts
    assert facts["command"] == "lift ask" and facts["model"] == str(model_folder) and "adapter" not in facts
    assert facts["description"] == f"{rows_file}, rows to eval on" and facts["dtype"] == "float32"


def test_a_model_without_masks_is_refused(model_folder, rows_file, tmp_path):
    model = load_model(str(model_folder))
    record_mask_token(model, None)
    model.save_pretrained(tmp_path)
    words = ["--model", str(tmp_path), "--train_data", str(rows_file), "--prompt_column", "question"]
    words += ["--completion_column", "answer"]
    load_tokenizer(str(model_folder)).save_pretrained(tmp_path)
    with pytest.raises(LiftError, match="rewrites random tokens and fills in no masks"):
        open_measured(parse_measured(MeasuredArguments, words, name="ask", description="Ask."), "lift ask", 0)


def test_a_process_alone():
    assert processes().num_processes == 1


def test_a_model_without_a_tokenizer_is_asked_with_another(model_folder, rows_file, tmp_path):
    load_model(str(model_folder)).save_pretrained(tmp_path / "bare")
    words = ["--model", str(tmp_path / "bare"), "--train_data", str(rows_file), "--prompt_column", "question"]
    words += ["--completion_column", "answer", "--tokenizer_name_or_path", str(model_folder)]
    measured = open_measured(parse_measured(MeasuredArguments, words, name="ask", description="Ask."), "lift ask", 0)
    assert len(measured.loaded.tokenizer) == len(load_tokenizer(str(model_folder)))
