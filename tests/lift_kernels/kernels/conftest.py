"""Fixtures shared by the tests of the kernels."""

from __future__ import annotations

import os

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def _masks_are_booleans(monkeypatch):
    """Refuse on every release the masks that the interpreter of triton 3.9 refuses: a block's mask & a scalar comparison."""
    if os.environ.get("TRITON_INTERPRET") != "1":
        return
    from triton.runtime.interpreter import InterpreterBuilder

    def checked(access, position):
        def check_and_access(builder, *args, **options):
            assert args[position].data.dtype == np.bool_, "the interpreter of triton 3.9 refuses this mask"
            return access(builder, *args, **options)

        return check_and_access

    monkeypatch.setattr(InterpreterBuilder, "create_masked_load", checked(InterpreterBuilder.create_masked_load, 1))
    monkeypatch.setattr(InterpreterBuilder, "create_masked_store", checked(InterpreterBuilder.create_masked_store, 2))
