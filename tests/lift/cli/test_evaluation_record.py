"""`evaluation.json`: the same whatever the number of processes."""

from __future__ import annotations

import pytest

from lift.cli.evaluation_record import check_free, read_record, settings_of, task_record, write_record
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


def test_a_record_is_replaced_by_one_of_the_same_settings_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    run = tmp_path / "run"
    values = {"model": "model", "tasks": "a,b", "limit": 8, "peft": None, "data_files": [], "stop_ids": (1, 2)}
    settings = settings_of(values | {"output_dir": "run", "batch_size": "5"})
    assert settings == {"model": str(tmp_path / "model"), "tasks": "a,b", "limit": 8, "stop_ids": [1, 2]}
    check_free(run, "lift eval", settings)
    write_record(run, "lift eval", "model", {}, [], settings)
    check_free(run, "lift eval --batch_size 7", settings_of(values | {"model": str(tmp_path / "model")}))
    with pytest.raises(LiftError) as error:
        check_free(run, "lift eval", settings_of(values | {"limit": 4, "stop_ids": (), "steps": 4, "tasks": "a"}))
    assert str(error.value) == (
        f"{run} holds an evaluation with tasks a,b, not a, limit 8, not 4, stop_ids [1, 2], not [], steps unset, not 4: "
        "choose another --output_dir."
    )


def test_a_record_of_an_earlier_release_is_known_by_its_command(tmp_path):
    write_record(tmp_path, "lift eval --limit 8", "model", {}, [])
    check_free(tmp_path, "lift eval --limit 8", {"limit": 8})
    with pytest.raises(LiftError, match="holds the evaluation of lift eval --limit 8: choose another --output_dir"):
        check_free(tmp_path, "lift eval --limit 4", {"limit": 4})
    (tmp_path / "evaluation.json").write_text("{}")
    with pytest.raises(LiftError, match="is no record of lift eval"):
        check_free(tmp_path, "lift eval --limit 8", {"limit": 8})
