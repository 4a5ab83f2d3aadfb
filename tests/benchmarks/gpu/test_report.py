from __future__ import annotations

from tests.benchmarks.gpu.reports import ACCURACY, TIMING, all_green, case, checked, saved


def test_what_comes_in_is_on_disk_soon(report, monkeypatch):
    report.tick()
    assert saved(report)["accuracy"] == [] and saved(report)["device"] == "H100"
    report.record(ACCURACY, "c", checked(numbers={"nats": float("nan"), "list": [float("inf"), 1.5]}))
    report.tick()
    assert saved(report)["accuracy"] == []  # written less than a second ago
    monkeypatch.setattr("benchmarks.gpu.report._SAVE_SECONDS", 0.0)
    report.tick()
    (record,) = saved(report)["accuracy"]
    assert record["job"] == "values" and record["numbers"] == {"nats": "nan", "list": ["inf", 1.5]}
    assert [path.name for path in report.path.parent.iterdir()] == [report.path.name]


def test_a_crashed_check_is_an_error_and_turns_its_gate_red(report, capsys):
    all_green(report)
    assert not report.complaints()
    report.crashed(ACCURACY, "c", None, {"sentence": "illegal memory access", "traceback": "at"})
    assert report.gates()["linear_cross_entropy"] == {"default": "green", "minimal": "red"}
    assert report.complaints() == ["c: crashed: illegal memory access"]
    assert "CRASH in values (c): illegal memory access" in capsys.readouterr().out
    report.crashed(ACCURACY, None, None, {"sentence": "no driver", "traceback": ""})
    assert report.complaints()[1:] == ["the job values crashed: no driver"]


def test_wrong_checks_missing_checks_and_errors_of_ours_are_complaints(report):
    report.record(ACCURACY, "c", checked("failed", sentence="off by 1 nats"))
    assert report.complaints()[0] == "c: off by 1 nats"
    assert "linear_token_stats default: no check ran" in report.complaints()

    report.accuracy.clear()
    all_green(report)
    fine = {"provider": "lift_kernels", "median_ms": 1.0}
    withheld = {"provider": "lift_kernels, 32 MiB", "withheld": "its accuracy gate is not green"}
    report.record(TIMING, "case", case(fine, withheld, {"provider": "quack", "error": "ModuleNotFoundError: quack"}))
    assert not report.complaints()
    report.record(TIMING, "case", case({"provider": "lift_kernels", "error": "OutOfMemoryError: 9 GiB"}))
    report.record(TIMING, "case", case({"provider": "lift_kernels, torch backend", "wrong": "log_prob: off"}))
    assert [complaint.partition(": ")[2] for complaint in report.complaints()] == [
        "OutOfMemoryError: 9 GiB",
        "log_prob: off",
    ]
