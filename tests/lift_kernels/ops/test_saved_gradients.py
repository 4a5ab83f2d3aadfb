"""Gradients formed in the forward pass: the backward pass scales them."""

from __future__ import annotations

import pytest
import torch

from lift_kernels.ops import saved_gradients


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_gradients_are_scaled_in_float32_and_rounded_once(dtype, monkeypatch):
    monkeypatch.setattr(saved_gradients, "_STRIP_ELEMENTS", 20)  # several strips
    gradient, third = torch.randn(7, 8).to(dtype), torch.tensor(1 / 3)
    ours = saved_gradients._scaled(gradient, third.to(torch.promote_types(dtype, torch.float32)), dtype)
    assert torch.equal(ours, (gradient.double() * third.double()).to(dtype)) or dtype != torch.bfloat16
    torch.testing.assert_close(
        ours.double(), gradient.double() / 3, rtol=2**-8 if dtype == torch.bfloat16 else 1e-6, atol=0
    )
