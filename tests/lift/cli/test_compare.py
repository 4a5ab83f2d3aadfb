"""`lift compare` pairs runs problem by problem."""

from __future__ import annotations

import json

from lift.cli import main
from lift.cli.evaluation_record import write_record
from lift.statistics import compare_scores

INFO = {
    "device_name": "cpu", "dtype": "float32", "batch_rows": 8, "padding": "none", "weights_digest": "", "sampling": {}
}  # fmt: skip
TASK = {
    "task": "task", "num_documents": 1, "forwards_per_token": None, "seconds": 1.0, "token_text": {},
    "scores": [{"name": "score", "value": 1.0, "interval": [0.2, 1.0]}],
    "documents": [{"id": 0, "target": "1", "prompt": "p", "outputs": [{"text": "1"}], "metrics": {"score": 1.0}}],
}  # fmt: skip


def write(folder, right, parts=None, task="task", start=0):
    documents = [
        {
            "id": start + n,
            "target": "1",
            "prompt": "",
            "outputs": [],
            "metrics": {"score": float(value), "cells": [part, 4]},
        }
        for n, (value, part) in enumerate(zip(right, parts or [0] * len(right), strict=True))
    ]
    scores = [{"name": name, "value": 0.0, "interval": None} for name in ("score", "cells")]
    folder.mkdir()
    (folder / "evaluation.json").write_text(
        json.dumps({"format": 1, "tasks": [{"task": task, "scores": scores, "documents": documents}]})
    )
    return str(folder)


def test_verdicts_are_paired_by_mcnemars_test_and_shares_by_the_bootstrap(tmp_path, capsys):
    first = write(tmp_path / "a", [1] * 3 + [0] * 10, [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1, 2])
    second = write(tmp_path / "b", [0] * 3 + [1] * 10, [1] * 13)
    assert main(["compare", first, second]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split()[:2] == ["task", "score"]
    assert lines[2].split()[-3:] == ["0.0923", "3", "10"]  # (3, 10): .092285
    assert "23.08%" in lines[2] and "76.92%" in lines[2] and "+53.85%" in lines[2]
    expected = compare_scores([n / 4 for n in [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1, 2]], [0.25] * 13)
    assert f"{expected.p_value:.3g}" in lines[3].split() and f"{expected.difference:+.2%}" in lines[3]


def test_documents_of_one_run_alone_are_left_out_and_said(tmp_path, capsys, caplog):
    first = write(tmp_path / "a", [1, 0, 1])
    second = write(tmp_path / "b", [1, 1], start=1)
    assert main(["compare", first, second]) == 0
    assert "task: 1 documents are in one of the runs only, and left out" in caplog.text
    assert capsys.readouterr().out.splitlines()[2].split()[2] == "2"


def test_likelihoods_are_no_per_cents(tmp_path, capsys):
    first, second = write(tmp_path / "a", [0, 0], [-12, -10]), write(tmp_path / "b", [0, 0], [-8, -10])
    assert main(["compare", first, second]) == 0
    assert capsys.readouterr().out.splitlines()[3].split()[4:7] == ["-2.75", "-2.25", "+0.5"]


def test_a_picture_and_a_page_of_both_runs(tmp_path):
    runs, plot, page = [tmp_path / "a", tmp_path / "b"], tmp_path / "compared.svg", tmp_path / "compared.html"
    for run in runs:
        write_record(run, "lift eval", f"model {run.name}", INFO, [TASK])
    assert main(["compare", *map(str, runs), "--plot", str(plot), "--page", str(page)]) == 0
    assert "<title>Evaluation of model a and model b</title>" in page.read_text("utf-8")
    assert b"<svg" in plot.read_bytes()


def test_what_cannot_be_compared_is_one_sentence(tmp_path, capsys):
    first, other = write(tmp_path / "a", [1]), write(tmp_path / "b", [1], task="other")
    for words, sentence in (
        ([first], "a comparison needs at least two runs"),
        ([first, str(tmp_path)], "is no record of lift eval"),
        ([first, other], "these runs have no task in common"),
    ):
        assert main(["compare", *words]) == 2
        assert sentence in capsys.readouterr().err


def test_the_help_shows_both_comparisons(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["compare", "--help"]) == 0
    shown = capsys.readouterr().out
    for words in ("RUN", "--plot FILE", "--methods METHOD,...", "--start_steps N", "--steps_only"):
        assert words in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_methods_are_compared_where_they_are_named(monkeypatch):
    from lift.cli.comparison import command

    called = []
    monkeypatch.setattr(command, "compare_methods", called.append)
    for words in (["--methods", "sft,lift3", "a.yaml"], ["a.yaml", "--methods=sft,lift3"]):
        assert main(["compare", *words]) == 0
        assert called.pop() == words


def test_a_picture_or_page_of_another_kind_is_refused_before_anything_is_read(tmp_path, capsys):
    for flag, name, words in (
        ("--plot", "c.gif", "--plot c.gif must end in .png, .svg, .pdf, got '.gif'."),
        ("--page", "c.png", "--page c.png must end in .html, got '.png'."),
    ):
        assert main(["compare", "nowhere", "neither", flag, name]) == 2
        assert words in capsys.readouterr().err
