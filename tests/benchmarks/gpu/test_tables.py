from __future__ import annotations

from benchmarks.gpu.tables import print_summary
from tests.benchmarks.gpu.reports import CHECKS, GATE, NUMBERS, all_green, checked, measured, row


def pieces(name, columns, milliseconds):
    times = {"piece": row(1.0, **{"whole vocabulary ms": milliseconds})}
    return measured(times, section="pieces", name=name, shape={"N": 4096, "columns": columns})


def test_the_summary_has_gates_pieces_steps_rivals_and_what_is_wrong(report, capsys):
    all_green(report)
    for record in (
        pieces("N=4096 as planned", 2048, 6.5),
        pieces("N=4096 x 3072", 3072, 6.25),
        measured({"bound": row(10.0), "ours": row(12.5, **{"% of bound": 80.0, "peak MiB": 1100.4})}, {"ours": GATE}),
        measured({"bound": row(10.0), "ours": {"error": "boom"}}, {"ours": GATE}, name="N=5 frozen"),
        measured(
            {"quack": row(11.0), "ours": row(9.0), "trl": {"error": "x"}}, {"ours": GATE}, "rivals", "N=8 trained"
        ),
    ):
        report.record(NUMBERS, "steps: N=8 frozen", record)
    report.dropped(NUMBERS, "steps: N=8 frozen")
    capsys.readouterr()
    print_summary(report)
    gates, planned, header, first, second, rivals, skipped, wrong = capsys.readouterr().out.splitlines()
    assert "linear_cross_entropy, default green" in gates
    assert planned == "pieces N=4096: planned 2048 columns 6.500 ms, best 3072 columns 6.250 ms"
    assert header.split()[:4] == ["whole", "steps", "bound", "ms"]
    assert first.split() == ["N=8", "frozen", "10.000", "12.500", "80.0", "%", "1100"]
    assert second.split() == ["N=5", "frozen", "10.000", "-", "-", "%", "-"]
    assert rivals == "N=8 trained: ours 9.000, quack 11.000"
    assert skipped == "SKIPPED for lack of time: steps 1 of 1"
    assert wrong == "WRONG: steps N=5 frozen, ours: boom"


def test_speeds_of_a_wrong_op_stand_in_brackets(report, capsys):
    report.record(CHECKS, "right: c", checked("failed", sentence="off"))
    report.record(NUMBERS, "steps: N=8 frozen", measured({"bound": row(10.0), "ours": row(12.5)}, {"ours": GATE}))
    capsys.readouterr()
    print_summary(report)
    assert "[12.500]" in capsys.readouterr().out
