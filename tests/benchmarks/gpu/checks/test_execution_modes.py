from __future__ import annotations

import pytest
import torch

from benchmarks.gpu.checks import execution_modes
from lift_kernels import linear_cross_entropy
from tests.benchmarks.support import HERE, SHAPE


def test_tracing_and_autocast_pass_and_can_fail(broken):
    assert not execution_modes.compiled(HERE, shape=SHAPE).failures
    assert not execution_modes.autocast(HERE, shape=SHAPE).failures

    def without_autocast(*args, **options):
        with torch.autocast("cpu", enabled=False):
            return linear_cross_entropy(*args, **options)

    broken(loss=without_autocast)
    assert execution_modes.autocast(HERE, shape=SHAPE).failures
    tracing = torch.compiler.is_compiling

    def when_traced(*args, **options):
        loss, stats = linear_cross_entropy(*args, **options)
        return (loss * 2 if tracing() else loss), stats

    broken(loss=when_traced)
    assert execution_modes.compiled(HERE, shape=SHAPE).failures


@pytest.mark.parametrize("replays", [True, False])
def test_a_graph_that_does_not_read_its_inputs_again_is_found(monkeypatch, replays):
    def capture(step):
        outputs = step()

        def replay():
            for old, new in zip(outputs, step(), strict=True):
                old.copy_(new)

        return outputs, replay if replays else lambda: None

    monkeypatch.setattr(execution_modes, "capture", capture)
    result = execution_modes.captured_graph(HERE, shape=SHAPE, path="default")
    assert result.comparisons == 8 and bool(result.failures) != replays


def test_a_synchronisation_is_found(broken, monkeypatch):
    modes = []
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", modes.append)
    assert not execution_modes.no_synchronisation(HERE, shape=SHAPE, path="default").failures
    assert modes == ["error", "default"] * 3

    def synchronises(*args, **options):
        if modes[-1] == "error":
            raise RuntimeError("called a synchronizing CUDA operation\nat")
        return linear_cross_entropy(*args, **options)

    broken(loss=synchronises)
    failures = execution_modes.no_synchronisation(HERE, shape=SHAPE, path="default").failures
    assert failures == [f"{name}: called a synchronizing CUDA operation" for name in ("sum", "mean", "none")]
    assert modes[-1] == "default"
