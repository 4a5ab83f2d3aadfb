from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.study import starts
from benchmarks.study.model import new_model, save_model
from benchmarks.study.plan import FULL, QUICK, Job
from benchmarks.study.streams import stream
from lift.errors import LiftError

HALFWAY = Job("half-way", "sort6", 1)


def test_a_base_model_that_has_not_learned_its_tasks_is_not_kept(tmp_path):
    with pytest.raises(LiftError, match=r"short fsa.*the gate in PROTOCOL\.md"):
        starts.make_base(Job("base"), tmp_path, replace(QUICK, base_gate=0.5))
    assert not (tmp_path / "models").exists()


def test_a_half_way_model_is_the_first_that_writes_enough_and_meets_no_row_it_is_judged_by(tmp_path, monkeypatch):
    save_model(new_model(0), tmp_path / "models" / "base.safetensors")
    rounds, shares = [], iter([0.0, 0.09, 0.1, 0.7, 0.7])
    monkeypatch.setattr(
        starts, "train", lambda model, rows, tokenizer, **options: rounds.append((set(rows), options["seed"]))
    )
    monkeypatch.setattr(starts, "stream", lambda *_: stream("one for all"))
    judged = []

    class Judge:
        def __init__(self, rows, tokenizer):
            judged.append(set(rows))

        def written(self, model):
            return {"answers": 0.4, "responses": next(shares)}

    monkeypatch.setattr(starts, "RowsToJudge", Judge)
    found = starts.make_halfway(HALFWAY, tmp_path, FULL)
    assert (found["rounds"], found["calibration"], found["responses"]) == (3, 0.1, 0.7)
    assert len({seed for _, seed in rounds}) == 3
    assert len(judged) == 2 and not judged[0] & judged[1]
    assert not any(rows & seen for rows, _ in rounds for seen in judged)


def test_rounds_have_an_end(tmp_path, monkeypatch):
    save_model(new_model(0), tmp_path / "models" / "base.safetensors")
    monkeypatch.setattr(starts, "train", lambda *_, **__: None)
    assert starts.make_halfway(HALFWAY, tmp_path, replace(QUICK, max_rounds=3))["rounds"] == 3


def test_runs_start_where_their_setting_says_and_each_start_has_test_rows_of_its_own(tmp_path):
    paths = [
        starts.start_path(tmp_path, job, FULL).name
        for job in (Job("base"), HALFWAY, Job("run", "sort6", 1, 3, "sft"), Job("run", "sort6_short", 0, 3, "sft"))
    ]
    assert paths == ["base.safetensors", "sort6-1.safetensors", "sort6-1.safetensors", "base.safetensors"]
    rows = [starts.held_out_rows(Job("run", "fsa", start, 0, "sft"), FULL) for start in (0, 0, 1)]
    assert rows[0] == rows[1] and not set(rows[0]) & set(rows[2])
    assert len(rows[0]) == 200
