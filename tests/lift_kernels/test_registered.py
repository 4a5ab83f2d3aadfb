"""The ops as torch sees them: schema, fake implementation, autograd registration and tracing."""

from __future__ import annotations

import pytest
import torch

from lift_kernels.ops import registered, saved_gradients
from lift_kernels.ops.wanted_rows import counted_rows
from lift_kernels.testing import Head


@pytest.mark.parametrize("wants", [(True, True, True), (True, False, False), (False, False, False)], ids=str)
@pytest.mark.parametrize("with_stats", [True, False])
def test_linear_cross_entropy_passes_opcheck(wants, with_stats):
    head = Head.random(12, 8, 40)
    leaves = [x.requires_grad_(w) for x, w in zip((head.hidden_states, head.weight, head.bias), wants, strict=True)]
    torch.library.opcheck(
        registered.linear_cross_entropy_sum,
        (*leaves, head.targets, head.token_weight, -100, None, 0.5, 3.0, *wants, with_stats, None, "torch"),
    )


@pytest.mark.parametrize("with_targets", [True, False])
def test_linear_token_stats_passes_opcheck(with_targets):
    head = Head.random(12, 8, 40).trainable("hidden_states", "weight", "bias")
    torch.library.opcheck(
        registered.token_stats,
        (
            head.hidden_states, head.weight, head.bias, head.targets if with_targets else None, None, -100, None, 1.0,
            None, True, None, "torch",
        ),
        test_utils=("test_schema", "test_faketensor") if not with_targets else tuple(registered_checks()),
    )  # fmt: skip


def registered_checks() -> list[str]:
    return ["test_schema", "test_autograd_registration", "test_faketensor", "test_aot_dispatch_dynamic"]


def test_backward_op_passes_opcheck():
    head = Head.random(12, 8, 40)
    log_prob, lse, *_ = registered.token_stats(
        head.hidden_states, head.weight, head.bias, head.targets, None, -100, None, 1.0, None, False, None, "torch"
    )
    torch.library.opcheck(
        registered.nll_gradients,
        (
            torch.randn(12), head.hidden_states, head.weight, head.bias, head.targets, lse, log_prob, -100, None, 1.0,
            None, True, True, True, None, "torch",
        ),
    )  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_gradients_are_scaled_in_float32_and_rounded_once(dtype, monkeypatch):
    monkeypatch.setattr(saved_gradients, "_STRIP_ELEMENTS", 20)  # several strips
    gradient, third = torch.randn(7, 8).to(dtype), torch.tensor(1 / 3)
    ours = saved_gradients._scaled(gradient, third.to(torch.promote_types(dtype, torch.float32)), dtype)
    assert torch.equal(ours, (gradient.double() * third.double()).to(dtype)) or dtype != torch.bfloat16
    torch.testing.assert_close(
        ours.double(), gradient.double() / 3, rtol=2**-8 if dtype == torch.bfloat16 else 1e-6, atol=0
    )


def test_a_wrong_count_is_not_silent():
    """Without reading it back, as on an accelerator."""
    is_target = torch.tensor([True, False, True])
    assert counted_rows(is_target, 2).tolist() == [0, 2]
    for wrong in (1, 3):
        with pytest.raises(RuntimeError, match="num_targets must be the number of targets that are not ignored"):
            counted_rows(is_target, wrong)
