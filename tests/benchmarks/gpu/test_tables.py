from __future__ import annotations

from benchmarks.gpu.tables import print_accuracy, print_speeds
from tests.benchmarks.gpu.reports import ACCURACY, TIMING, all_green, case, checked, saved


def test_the_table_shows_the_bound_ours_and_the_best_of_the_others(report, capsys):
    all_green(report)
    rows = (
        {"provider": "bare matrix products", "median_ms": 10.0, "percent_of_bound": 100.0},
        {"provider": "lift_kernels", "median_ms": 12.5, "percent_of_bound": 80.0, "peak_mib": 1100.4},
        {"provider": "lift_kernels, 32 MiB", "median_ms": 20.0},
        {"provider": "lift_kernels, torch backend", "median_ms": 11.0},
        {"provider": "logits in float32", "median_ms": 15.0},
        {"provider": "logits in float32, torch.compile", "median_ms": 14.0},
        {"provider": "quack", "error": "ModuleNotFoundError"},
    )
    report.record(TIMING, "case", case(*rows))
    report.record(TIMING, "case", case({"provider": "lift_kernels", "error": "boom"}, name="dream-7b-256-stats"))
    report.dropped(TIMING, "other")
    capsys.readouterr()
    print_speeds(report)
    header, first, second, wrong = capsys.readouterr().out.splitlines()
    assert header.split()[:3] == ["case", "bound", "ms"]
    assert first.split(maxsplit=7) == [
        "llada-8b-4096-frozen", "10.00", "12.50", "80", "%", "1100", "20.00", "logits in float32, torch.compile 14.00",
    ]  # fmt: skip
    assert second.split() == ["dream-7b-256-stats", "-", "-", "-", "-", "-", "-"]
    assert wrong == "WRONG: dream-7b-256-stats, lift_kernels: boom"
    report.save()
    assert saved(report)["dropped"] == [{"section": "timing", "task": "other"}]


def test_the_accuracy_summary_counts_and_names_memory(report, capsys):
    report.record(ACCURACY, "c", checked(numbers={"nats": 2e-6}))
    report.record(ACCURACY, "c", checked("skipped", sentence="needs a CUDA device"))
    report.record(ACCURACY, "c", checked(numbers={"beyond_gradients_mib": 41.0}))
    capsys.readouterr()
    print_accuracy(report)
    job, memory, gates = capsys.readouterr().out.splitlines()
    assert job.split(maxsplit=1) == ["values", "2 passed, 1 skipped; at most 2.0e-06 nats off"]
    assert "41 MiB beyond" in memory and "linear_cross_entropy default green" in gates
