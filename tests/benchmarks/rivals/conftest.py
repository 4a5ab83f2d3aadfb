from __future__ import annotations

import sys
import types

import pytest
import torch

from benchmarks.rivals.rival import IGNORED


@pytest.fixture
def inputs():
    """Hidden states (10, 8), a weight (24, 8) and targets (10,), of which one is ignored."""
    targets = torch.arange(10)
    targets[3] = IGNORED
    return torch.randn(10, 8), torch.randn(24, 8), targets


@pytest.fixture
def fake_module(monkeypatch):
    """`fake_module("a.b", name=value)` stands in for a package that only a GPU can run."""

    def put(name: str, **attributes) -> None:
        parents = name.split(".")
        for end in range(1, len(parents) + 1):
            module = types.ModuleType(".".join(parents[:end]))
            module.__path__ = []
            monkeypatch.setitem(sys.modules, module.__name__, module)
        module.__dict__.update(attributes)

    return put
