from __future__ import annotations

import json

from tests.benchmarks.gpu.reports import CHECKS, GATE, NUMBERS, all_green, checked, lines_of, measured, row

TASK = "steps: N=8 frozen"


def test_each_result_is_a_line_on_disk_and_on_the_screen_at_once(report, capsys):
    assert lines_of(report) == [{"run": {"device": "H100"}}]
    report.record(CHECKS, "right: c", checked(numbers={"nats": float("nan")}))
    assert lines_of(report)[-1]["check"]["numbers"] == {"nats": "nan"}
    assert lines_of(report)[-1]["check"]["section"] == "right"
    assert capsys.readouterr().out == "right c: passed, at most nan nats off\n"
    report.record(NUMBERS, TASK, measured({"bound": row(2.0), "ours": row(4.0)}, {"ours": GATE}))
    assert lines_of(report)[-1]["measurement"]["times"]["ours"]["gate"] == "green"
    assert len(capsys.readouterr().out.splitlines()) == 2
    report.dropped(NUMBERS, "table: a")
    report.dropped(NUMBERS, "table: b")
    assert lines_of(report)[-2:] == [{"dropped": "table: a"}, {"dropped": "table: b"}]
    assert capsys.readouterr().out.count("SKIPPED") == 1
    assert not report.path.exists()
    report.save()
    record = json.loads(report.path.read_text())
    assert record["device"] == "H100" and len(record["checks"]) == len(record["measurements"]) == 1
    assert record["dropped"] == ["table: a", "table: b"]


def test_a_speed_is_marked_and_never_withheld(report, capsys):
    record = measured({"ours": row(4.0)}, {"ours": GATE})
    report.record(NUMBERS, TASK, record)
    assert "ours [4.0000 ms]" in capsys.readouterr().out
    assert report.marked(record)["times"]["ours"]["gate"] == "unchecked"
    assert report.complaints() == [f"{GATE}: no check ran"]
    report.demands_checks = False
    assert not report.complaints()
    all_green(report)
    assert report.marked(record)["times"]["ours"]["gate"] == "green"
    wrong = measured({"ours": row(4.0, wrong="dX error is 1")}, {"ours": GATE})
    assert report.marked(wrong)["times"]["ours"]["gate"] == "red"
    report.record(CHECKS, "right: c", checked("failed", sentence="off by 1 nats"))
    assert report.marked(record)["times"]["ours"] == {**row(4.0), "gate": "red"}
    assert report.complaints() == ["c: off by 1 nats"]


def test_a_crashed_check_is_an_error_and_turns_its_gate_red(report, capsys):
    all_green(report)
    assert not report.complaints()
    report.crashed(CHECKS, "right: c", None, {"sentence": "illegal memory access", "traceback": "at"})
    assert report.gates()["linear_cross_entropy, minimal"] == "red" and report.gates()[GATE] == "green"
    assert report.complaints() == ["c: crashed: illegal memory access"]
    assert "CRASH in right, default (right: c): illegal memory access" in capsys.readouterr().out
    assert [next(iter(line)) for line in lines_of(report)[-2:]] == ["crash", "check"]


def test_errors_of_ours_are_complaints_and_those_of_rivals_are_not(report):
    all_green(report)
    times = {"ours": {"error": "OutOfMemoryError: 9 GiB"}, "quack": {"error": "RuntimeError"}}
    report.record(NUMBERS, TASK, measured(times, {"ours": GATE}))
    report.record(NUMBERS, TASK, {"section": "steps", "name": "N=5 frozen", "error": "ValueError: boom"})
    report.crashed(NUMBERS, TASK, "quack", {"sentence": "status -11", "traceback": ""})
    assert report.complaints() == [
        "steps N=8 frozen, ours: OutOfMemoryError: 9 GiB",
        "steps N=5 frozen: ValueError: boom",
    ]
    report.crashed(NUMBERS, None, None, {"sentence": "no driver", "traceback": ""})
    assert report.complaints()[2:] == ["the job first numbers crashed, between tasks: no driver"]
