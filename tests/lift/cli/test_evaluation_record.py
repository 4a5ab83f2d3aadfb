"""`evaluation.json`: the same whatever the number of processes."""

from __future__ import annotations

import pytest

from lift.cli.evaluation_record import read_record, task_record, write_record
from lift.errors import LiftError
from lift.tasks.sudoku import build_tokenizer


def sample(number, score):
    return {
        "doc_id": number, "filter": "all", "metrics": ["score", "verdicts"], "score": score, "target": "1",
        "arguments": [(f"p{number}", {})], "resps": [["12"]], "filtered_resps": [["12"]],
        "verdicts": [{"correct": False, "answer": None, "reason": "no", "published": 0.0, "details": {}}],
    }  # fmt: skip


def record(samples):
    answers = {
        (f"p{n}", 0): {"token_ids": [3, 4], "unmask_step": [1, 0], "forwards": 2, "tokens": 2, "seconds": 3.0} for n in range(9)
    }  # fmt: skip
    results = {"samples": {"task": samples}, "results": {"task": {}}, "configs": {"task": {"f": print}}}
    return task_record(results, answers, build_tokenizer(), 1.0)


def test_the_order_of_processes_changes_nothing():
    samples = [sample(n, n / 9) for n in range(9)]
    expected = record(samples)
    assert record(samples[::2] + samples[1::2]) == expected
    assert [document["id"] for document in expected["documents"]] == list(range(9))
    assert expected["scores"][0]["interval"][0] < 4 / 9 < expected["scores"][0]["interval"][1]
    assert (expected["forwards_per_token"], expected["seconds"]) == (1.0, 27.0)  # answers that were kept took that long
    assert expected["token_text"] == {"3": "1", "4": "2"}
    assert expected["documents"][3]["outputs"][0]["verdict"]["reason"] == "no"


def test_a_record_is_read_from_its_folder_or_file(tmp_path):
    write_record(tmp_path / "run", "lift eval", "model", {"dtype": "float32"}, [record([sample(0, 1.0)])])
    found = read_record(tmp_path / "run")
    assert found == read_record(tmp_path / "run" / "evaluation.json")
    assert found["tasks"][0]["task"] == "task" and found["versions"]["torch"] and "git" in found
    (tmp_path / "other.json").write_text("{}")
    for path in (tmp_path, tmp_path / "other.json"):
        with pytest.raises(LiftError, match="is no record of lift eval"):
            read_record(path)
