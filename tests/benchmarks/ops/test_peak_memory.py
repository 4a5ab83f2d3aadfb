from __future__ import annotations

import sys

import pytest

from benchmarks.ops.cases import Case
from benchmarks.ops.peak_memory import peak_in_a_process, peak_of
from benchmarks.ops.providers import OWN
from tests.benchmarks.support import HERE, SMOKE


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is counted by Linux")
def test_the_logits_show_in_the_peak_of_a_process():
    case = Case("minilm", 512, 1.0, "statistics")
    logits_mib = 4 * case.num_targets * case.vocab_size >> 20
    assert peak_in_a_process("logits in float32", case) >> 20 >= logits_mib
    assert peak_in_a_process(OWN, case) >> 20 < logits_mib


def test_tiny_shapes_have_none():
    assert peak_of(OWN, Case("smoke", 16, 0.5, "loss"), lambda: None, SMOKE) is None
    assert not HERE.is_smoke
