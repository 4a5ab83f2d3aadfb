from __future__ import annotations

import json

import pytest

from benchmarks.models import __main__ as command


def test_a_family_is_measured_both_ways_in_processes(tmp_path, capsys):
    command.main(["--smoke", "--family", "bert", "--output", str(tmp_path)])
    (path,) = tmp_path.iterdir()
    record = json.loads(path.read_text())
    assert [(row["family"], row["trains_head"]) for row in record["families"]] == [("bert", True), ("bert", False)]
    for row in record["families"]:
        assert row["patched"]["loss"] == pytest.approx(row["logits"]["loss"], rel=1e-5)
        assert row["logits"]["peak_mib"] >= 0
    assert record["command"].startswith("python -m benchmarks.models --smoke") and "processor" in record
    assert "bert                 trained  logits" in capsys.readouterr().out


def test_nothing_is_reported_of_losses_that_differ(tmp_path, monkeypatch):
    losses = {"logits": 2.0, "patched": 2.001}
    monkeypatch.setattr(
        command, "measure_in_a_process", lambda step: {"loss": losses[step.path], "peak_mib": 1.0}
    )  # fmt: skip
    with pytest.raises(SystemExit, match="differ, so nothing is reported"):
        command.main(["--family", "bert", "--output", str(tmp_path)])
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_stands_for_the_families(tmp_path, monkeypatch):
    steps = []
    monkeypatch.setattr(
        command, "measure_in_a_process", lambda step: steps.append(step) or {"loss": 1.0, "peak_mib": 2.0}
    )  # fmt: skip
    command.main(["--checkpoint", "folder", "--trust-remote-code", "--output", str(tmp_path)])
    assert {(step.model, step.trust_remote_code) for step in steps} == {("folder", True)} and len(steps) == 4
