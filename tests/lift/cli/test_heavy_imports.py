"""What a command loads is kept out of its collections; a program that calls one keeps its own."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from lift.cli.heavy_imports import heavy_imports

_FRESH = """
import gc
from lift.cli.heavy_imports import heavy_imports
with heavy_imports():
    assert not gc.isenabled()
    import torch
assert gc.isenabled() and gc.get_freeze_count() > 100_000
frozen = gc.get_freeze_count()
import accelerate
with heavy_imports():
    assert gc.isenabled()
assert gc.get_freeze_count() <= frozen  # as some have been freed since
gc.unfreeze()
"""


def test_modules_are_loaded_without_collections_and_left_out_of_later_ones():
    subprocess.run([sys.executable, "-c", _FRESH], check=True, timeout=120)


@pytest.mark.parametrize("loaded", [True, False])
def test_an_import_that_fails_leaves_collections_on_and_one_turned_off_stays_off(monkeypatch, loaded):
    if not loaded:
        monkeypatch.delitem(sys.modules, "accelerate", raising=False)
    frozen = gc.get_freeze_count()
    with pytest.raises(ImportError), heavy_imports():
        assert gc.isenabled() == loaded
        raise ImportError
    assert gc.isenabled() and gc.get_freeze_count() <= frozen
    gc.disable()
    try:
        with heavy_imports():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
