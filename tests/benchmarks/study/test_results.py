from __future__ import annotations

import json
import logging
from dataclasses import asdict, replace

import pytest

from benchmarks.harness.json_record import append_line
from benchmarks.study.plan import QUICK, Job
from benchmarks.study.results import open_session, read_lines, results_path
from lift.errors import LiftError

RUN = {"job": asdict(Job("run", "sort6", 0, 0, "sft")), "found": {"answers": 0.5}, "seconds": {}}


def test_a_session_notes_what_it_runs_on_and_knows_what_is_done(tmp_path):
    assert open_session(tmp_path, QUICK, "first") == {}
    append_line(results_path(tmp_path), RUN)
    assert open_session(tmp_path, QUICK, "second") == {Job("run", "sort6", 0, 0, "sft"): RUN}
    sessions = [line["session"] for line in read_lines(tmp_path) if "session" in line]
    assert [session["command"] for session in sessions] == ["first", "second"]
    assert {"commit", "torch", "processor"} <= set(sessions[0])


def test_a_torn_last_line_is_dropped_and_no_other(tmp_path, caplog):
    open_session(tmp_path, QUICK, "first")
    append_line(results_path(tmp_path), RUN)
    with results_path(tmp_path).open("a") as file:
        file.write(json.dumps(RUN)[:20])
    assert len(read_lines(tmp_path)) == 2
    with caplog.at_level(logging.WARNING):
        assert len(open_session(tmp_path, QUICK, "second")) == 1
    assert "20 bytes" in caplog.text
    assert [*map(json.loads, results_path(tmp_path).read_text().splitlines())] == read_lines(tmp_path)
    assert len(read_lines(tmp_path)) == 3


def test_a_study_of_other_sizes_is_left_alone(tmp_path):
    open_session(tmp_path, QUICK, "first")
    before = results_path(tmp_path).read_bytes()
    with pytest.raises(LiftError, match="other sizes: choose another --output"):
        open_session(tmp_path, replace(QUICK, test_rows=5), "second")
    assert results_path(tmp_path).read_bytes() == before
