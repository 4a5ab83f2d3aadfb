from __future__ import annotations

import pytest

from benchmarks.gpu.checks import op_calls


@pytest.fixture
def broken(monkeypatch):
    """Replace the op that the checks call."""

    def replace(loss=None, stats=None):
        if loss is not None:
            monkeypatch.setattr(op_calls, "linear_cross_entropy", loss)
        if stats is not None:
            monkeypatch.setattr(op_calls, "linear_token_stats", stats)

    return replace
