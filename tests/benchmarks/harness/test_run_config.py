from __future__ import annotations

import pytest
import torch

from benchmarks.harness.run_config import RunConfig
from tests.benchmarks.support import HERE, ON_GPU


@pytest.mark.parametrize(
    ("has_gpu", "interprets", "expected"),
    [(True, False, ("cuda", "triton")), (False, True, ("cpu", "triton")), (False, False, ("cpu", "torch"))],
)
def test_the_kernels_run_on_a_gpu_and_under_the_interpreter(monkeypatch, has_gpu, interprets, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    monkeypatch.setenv("TRITON_INTERPRET", "1" if interprets else "0")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    config = RunConfig.here(is_smoke=True)
    assert (config.device.type, config.backend) == expected and config.is_smoke
    assert RunConfig.here(backend="torch").backend == "torch"


def test_only_a_gpu_is_waited_for_and_cleared(monkeypatch):
    calls = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: calls.append("synchronize"))
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: calls.append("empty"))
    HERE.synchronize()
    HERE.release_memory()
    assert not calls
    ON_GPU.release_memory()
    assert calls == ["synchronize", "empty"]
