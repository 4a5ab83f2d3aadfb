from __future__ import annotations

import sys

import pytest

from benchmarks.ops import peak_memory
from benchmarks.ops.cases import CASES
from tests.benchmarks.support import HERE, ON_GPU

CASE = CASES["smoke-frozen"]


def test_a_device_counts_what_it_allocates_and_a_cpu_does_not(monkeypatch):
    monkeypatch.setattr(peak_memory, "cuda_peak_of", lambda step: step() or 5)
    steps = []
    assert peak_memory.peak_on_device("lift_kernels", CASE, lambda: steps.append(1), ON_GPU) == 5 and steps == [1]
    assert peak_memory.peak_on_device("lift_kernels", CASE, lambda: steps.append(1), HERE) is None


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")
def test_a_process_of_its_own_counts_the_logits():
    case = CASES["cpu-32k-stats"]
    peak = peak_memory.peak_in_a_process("logits in float32, targets only", case, lambda: None, HERE)
    of_float32_logits = 4 * case.num_targets * case.vocab_size
    assert of_float32_logits < peak < 6 * of_float32_logits
