"""The gradient of the logits, element by element."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lift_kernels.kernels import tiled_gradients
from lift_kernels.kernels.launch_configs import Launch
from lift_kernels.kernels.tiled_gradient import Rows, tiled_gradient
from lift_kernels.linear_head import LinearHead
from lift_kernels.testing import Head
from tests.lift_kernels.kernels.head_truth import linear_head, statistics

pytestmark = pytest.mark.usefixtures("poison_new_tensors")

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
SMALL = Launch({"BLOCK_N": 16, "BLOCK_V": 32, "BLOCK_D": 16}, num_warps=4, num_stages=2)
# Rows in tiles of 16 and dimensions in steps of 16 leave some over; so do columns in tiles of 32.
SHAPE = (37, 20, 170)


def elements(head: Head, linear: LinearHead, first_column: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """(G as the kernel writes it, float16's factor taken out, its column sums, G of the truth)."""
    wide = head.double()
    bias = None if linear.bias is None else wide.bias
    products = torch.nn.functional.linear(wide.hidden_states, wide.weight, bias).requires_grad_()
    logits = linear.scale * products
    logits = logits if linear.softcap is None else linear.softcap * (logits / linear.softcap).tanh()
    nll = torch.nn.functional.cross_entropy(logits, head.targets, reduction="none")
    (true,) = torch.autograd.grad(nll, products, wide.token_weight)

    is_half = head.hidden_states.dtype == torch.float16
    factor = tiled_gradients._float16_factor(head.token_weight, linear.scale) if is_half else None
    lse, log_prob = statistics(head, linear)
    rows = Rows.of_nll(head.hidden_states, head.targets, head.token_weight, lse, log_prob)
    slab = linear._replace(
        weight=linear.weight[first_column:], bias=None if linear.bias is None else linear.bias[first_column:]
    )
    gradient = head.hidden_states.new_empty((len(lse), len(slab.weight)))
    sums = lse.new_empty((-(-len(lse) // 16), len(slab.weight)))
    column_sums = tiled_gradient(rows, slab, first_column, factor, gradient, sums, SMALL)
    return gradient.double() / (1 if factor is None else factor), column_sums.double(), true[:, first_column:]


@pytest.mark.parametrize("first_column", [0, 61])
@pytest.mark.parametrize("options", [{}, {"bias": True, "scale": 1.5, "softcap": 30.0}], ids=["plain", "capped"])
def test_an_excluded_entry_has_no_gradient(options, first_column, kernel_device):
    head = Head.random(*SHAPE, ignored=0)
    head.targets[head.targets == 100] = 99
    head.bias[100] = -torch.inf  # of the truth: that its logit is -inf
    head = head.to(kernel_device)
    linear = linear_head(head, **options)
    without = linear._replace(weight=head.weight[torch.arange(170) != 100], exclude_index=None)
    if linear.bias is not None:
        without = without._replace(bias=head.bias[torch.arange(170) != 100])
        linear = linear._replace(bias=head.bias.where(head.bias.isfinite(), 70.0))
    head.targets[head.targets > 100] -= 1
    shorter = replace(head, weight=without.weight, bias=head.bias[torch.arange(170) != 100])
    lse, log_prob = statistics(shorter, without)
    _, _, true = elements(shorter, without)
    head.targets[head.targets >= 100] += 1
    rows = Rows.of_nll(head.hidden_states, head.targets, head.token_weight, lse, log_prob)
    bias = None if linear.bias is None else linear.bias[first_column:]
    slab = linear._replace(weight=linear.weight[first_column:], bias=bias, exclude_index=100)
    gradient = head.hidden_states.new_empty((SHAPE[0], SHAPE[2] - first_column))
    tiled_gradient(rows, slab, first_column, None, gradient, None, SMALL)
    assert not gradient[:, 100 - first_column].any()
    others = torch.arange(first_column, 170) != 100
    torch.testing.assert_close(gradient[:, others].double(), true[:, first_column:], rtol=1e-5, atol=1e-30)


@pytest.mark.parametrize("first_column", [0, 61])
@pytest.mark.parametrize("options", [{}, {"bias": True, "scale": 1.5, "softcap": 30.0}], ids=["plain", "capped"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_element_has_the_digits_of_its_dtype(dtype, options, first_column, kernel_device):
    """Also those of sure rows, where 1 - p is about 1e-5 and p rounds to 1; weights span 1e-3 to 1e3."""
    head = Head.random(*SHAPE, dtype, ignored=0)
    head.targets[:20] = torch.tensor([0, 61, 100, 169]).repeat(5)
    head.weight[:, :4] = 0
    head.weight[[0, 61, 100, 169], :4] = torch.eye(4, dtype=dtype)
    head.hidden_states[:, :4] = 0
    head.hidden_states[:20, :4] = 18 * torch.eye(4, dtype=dtype).repeat(5, 1)
    head = head.to(kernel_device)
    linear = linear_head(head, **options)
    found, column_sums, true = elements(head, linear, first_column)
    # float16 has multiples of 2^-24 below its normal numbers, and 2^13 or more for the largest possible element.
    tiny = 2.0**-38 * head.token_weight.max().item() * linear.scale if dtype == torch.float16 else 1e-30
    rtol = 1e-5 if dtype == torch.float32 else torch.finfo(dtype).eps / 2 + 1e-5
    torch.testing.assert_close(found, true, rtol=rtol, atol=tiny)
    torch.testing.assert_close(column_sums, true.sum(0), rtol=0, atol=1e-6 * true.abs().sum(0).max().item())
    if not options and first_column == 0:
        target_logit = true.gather(1, head.targets[:, None])[:20, 0] / head.token_weight[:20]
        assert (target_logit < 0).all() and (target_logit > -1e-4).all()
