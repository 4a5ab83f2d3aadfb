"""Ways through the Triton backend, made reachable at sizes that the interpreter can run."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch


@pytest.fixture
def take_kernel_path(monkeypatch):
    """Call with one of `kernel_paths.KERNEL_PATHS` to send every Triton call of a test that way, whatever its size."""

    def take(path: str) -> None:
        from lift_kernels.kernels import plan

        monkeypatch.setattr(plan, "FEW_ROWS", 0)
        if path == "on-chip":
            monkeypatch.setattr(plan, "plan_statistics", lambda *sizes, **options: None)
            monkeypatch.setattr(plan, "plan_gradients", lambda *sizes, **options: None)
            return
        # Logits come 256 columns at a time.
        monkeypatch.setattr(plan, "_CACHED_BYTES", 0)
        monkeypatch.setattr(plan, "_USEFUL_COLUMNS", 256)
        if path == "many-chunks":
            whole = plan._plan

            def few_rows(*sizes, **options):
                found = whole(*sizes, **options)
                return found and replace(found, rows=min(found.rows, 4))

            monkeypatch.setattr(plan, "_plan", few_rows)

    return take


@pytest.fixture
def poison_new_tensors(monkeypatch):
    """Memory that a kernel should fill holds nan, or for integers an absurd number, until it does."""

    def poisoned(allocate):
        def allocate_poisoned(*args, **options):
            tensor = allocate(*args, **options)
            return tensor.fill_(float("nan") if tensor.is_floating_point() else torch.iinfo(tensor.dtype).max)

        return allocate_poisoned

    monkeypatch.setattr(torch, "empty", poisoned(torch.empty))
    monkeypatch.setattr(torch.Tensor, "new_empty", poisoned(torch.Tensor.new_empty))
