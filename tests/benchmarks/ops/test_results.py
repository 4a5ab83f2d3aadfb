from __future__ import annotations

import pytest

from benchmarks.ops.results import Results, grouped
from tests.benchmarks.ops.reports import file_of_results


def test_a_file_is_read_by_case(tmp_path):
    results = Results.read(file_of_results(tmp_path))
    assert [len(rows) for rows in grouped(results.rows, "case").values()] == [3, 3] and results.environment[
        "torch"
    ] == "2.13.0"
    bound, own, logits = results.rows[:3]
    assert (own.error_nats, own.gradient_error) == (3e-7, 1.6e-3) and own.provider == "lift_kernels"
    assert (logits.error_nats, logits.gradient_error, bound.error_nats) == (2e-2, None, None)
    assert not hasattr(bound, "peak_mib")


def test_a_file_without_the_ops_is_refused(tmp_path):
    path = tmp_path / "other.json"
    path.write_text('{"machine_info": {}, "benchmarks": [{"extra_info": {}}]}')
    with pytest.raises(ValueError, match="has no benchmark of the ops: make one by"):
        Results.read(path)
