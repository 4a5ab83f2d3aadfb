"""Drawn tokens as torch sees them: schema, fake implementation and tracing."""

from __future__ import annotations

import pytest
import torch

from lift_kernels.ops.linear_sample_op import sample
from lift_kernels.testing import Head


@pytest.mark.parametrize("backend", ["torch", "triton"])
@pytest.mark.parametrize(("temperature", "top_k"), [(0.0, None), (0.9, None), (0.9, 3)])
def test_linear_sample_passes_opcheck(temperature, top_k, backend):
    head, ids = Head.random(12, 8, 40), torch.arange(12)
    torch.library.opcheck(
        sample,
        (
            head.hidden_states, head.weight, head.bias, ids, ids, 3, temperature, top_k, 0.9 if top_k else None, 4, 1.0,
            None, None, backend,
        ),
    )  # fmt: skip
