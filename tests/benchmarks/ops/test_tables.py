from __future__ import annotations

from benchmarks.ops.results import Results
from benchmarks.ops.tables import tables
from tests.benchmarks.ops.reports import file_of_results


def test_no_time_stands_without_its_error_and_what_is_not_accurate_or_a_mean_is_marked(tmp_path):
    lines = tables(Results.read(file_of_results(tmp_path))).splitlines()
    assert lines[0] == "### Loss and gradients, trained head: 32k, 512 tokens, 1024 x 32768, bfloat16"
    assert lines[2] == "| | 25% masked | 50% masked | off by, nats | gradients off by |"
    assert lines[4:7] == [
        "| bare matrix products | 10 ms (9 to 11) | 20 ms (18 to 22) |  |  |",
        "| **lift_kernels** | 62.5 ms (56.2 to 68.8), x1.25, 25 MiB | 250 ms (225 to 275), x1.25, 50 MiB "
        "| 3.0e-07 | 1.6e-03 |",
        "| ~logits | 225 ms (202 to 248), x1.25, 75 MiB | 450 ms (405 to 495), x1.25, 150 MiB | 2.0e-02 (mean) |  |",
    ]


def test_a_long_time_is_in_whole_milliseconds(tmp_path):
    results = Results.read(file_of_results(tmp_path))
    results.rows[1].facts.update(median_ms=11503.4, p20_ms=999.4, p80_ms=999.5)
    assert "| 11503 ms (999 to 1000), x1.25, 25 MiB |" in tables(results)
