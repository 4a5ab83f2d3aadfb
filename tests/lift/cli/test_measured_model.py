"""A model and its rows, opened as a training would."""

from __future__ import annotations

from lift.cli.measured_arguments import MeasuredArguments, parse_measured
from lift.cli.measured_model import open_measured, processes


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


def test_a_process_alone():
    assert processes().num_processes == 1
