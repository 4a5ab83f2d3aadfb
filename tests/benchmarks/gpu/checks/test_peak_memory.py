from __future__ import annotations

import pytest

from benchmarks.gpu.checks import peak_memory
from tests.benchmarks.support import HERE, SHAPE


@pytest.mark.parametrize(
    ("workspace", "extra", "is_fine"),
    [(None, 1024, True), (None, 1100, False), (48 << 20, 50, True), (48 << 20, 80, False)],
)
def test_memory_beyond_what_is_stated_is_found(monkeypatch, workspace, extra, is_fine):
    monkeypatch.setattr(peak_memory, "cuda_peak_of", lambda step: extra << 20)
    result = peak_memory.peak_memory(HERE, shape=SHAPE, workspace_bytes=workspace, names=("hidden_states",))
    assert (not result.failures) == is_fine and result.numbers["step_extra_mib"] == extra
