from __future__ import annotations

import sys
import types

import pytest
import torch

from benchmarks.rivals.rival import IGNORED, Rival, padded_rows


@pytest.fixture
def package(monkeypatch):
    module = types.ModuleType("a_rival")
    module.__spec__ = types.SimpleNamespace()
    module.loss = None
    monkeypatch.setitem(sys.modules, "a_rival", module)
    return module


def rival(**options) -> Rival:
    return Rival(lambda *inputs: None, "a-rival", ("a_rival",), **options)


def test_a_package_that_is_not_there_says_so():
    assert Rival(None, "none", ("no_such_package.part",)).obstacle("cpu") == "not installed"
    assert rival().version() is None
    assert Rival(None, "torch", ("torch",)).version() == torch.__version__


def test_a_package_that_cannot_be_imported_or_is_too_old_says_so(package):
    missing = Rival(None, "a-rival", ("a_rival", "a_rival.part"), on_cpu=True)
    assert missing.obstacle("cpu").startswith("cannot be imported: ModuleNotFoundError")
    assert rival(attribute="gone", on_cpu=True).obstacle("cpu") == "a-rival None has no gone"
    assert rival(attribute="loss", on_cpu=True).obstacle("cpu") is None


def test_it_runs_on_the_devices_that_it_is_written_for(package, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    assert rival().obstacle("cpu") == "needs a CUDA device"
    assert rival().obstacle("cuda") is None
    assert rival(least_capability=(9, 0), only_capability=(9, 0)).obstacle("cuda") is None
    assert rival(least_capability=(10, 0)).obstacle("cuda") == "is not written for compute capability 9.0"
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (10, 0))
    assert rival(least_capability=(9, 0)).obstacle("cuda") is None
    assert rival(least_capability=(9, 0), only_capability=(9, 0)).obstacle("cuda") is not None


def test_rows_are_filled_up_with_ignored_ones():
    rows, targets = torch.randn(5, 3, requires_grad=True), torch.arange(5)
    assert padded_rows(rows, targets, 5)[0] is rows
    more, more_targets = padded_rows(rows, targets, 4)
    assert more.shape == (8, 3) and torch.equal(more[:5], rows) and not more[5:].any()
    assert more_targets.tolist() == [0, 1, 2, 3, 4, IGNORED, IGNORED, IGNORED]
