from __future__ import annotations

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.gpu.measurements.bound import bound_step


@pytest.mark.parametrize("trained", [False, True])
def test_it_is_every_product_and_the_pass_over_the_gradient_and_nothing_else(trained):
    seen = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            seen.append(func.overloadpacket.__name__)
            return func(*args, **(kwargs or {}))

    step = bound_step(torch.randn(5, 16, requires_grad=True), torch.randn(40, 16), trained=trained)
    with Watch():
        step()
    work = [name for name in seen if name not in ("t", "transpose")]
    assert work == ["mm", "mm", "mul", *(["mm"] if trained else [])]
