from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lift_kernels import reference
from lift_kernels.kernels import tiled_gradients as module
from lift_kernels.kernels.launch_configs import Launch
from lift_kernels.kernels.tiled_gradients import (
    Blocks,
    fits_one_sweep,
    least_workspace_bytes,
    plan_blocks,
    tiled_gradients,
)
from lift_kernels.linear_head import Gradients, LinearHead, NeedsGrad, gradient_dtype
from lift_kernels.testing import Head, assert_gradient_close
from tests.lift_kernels.kernels.head_truth import linear_head, statistics

pytestmark = pytest.mark.usefixtures("poison_new_tensors")

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
SMALL = Launch({"BLOCK_N": 16, "BLOCK_V": 32, "BLOCK_D": 16}, num_warps=4, num_stages=2)
WIDE = Launch({"BLOCK_N": 16, "BLOCK_V": 256, "BLOCK_D": 16}, num_warps=4, num_stages=2)
# Rows in tiles of 16 and dimensions in steps of 16 leave some over; so do columns in tiles of 32 and slabs of 64.
SHAPE = (37, 20, 170)
HIDDEN, WEIGHT, BIAS, BOTH, ALL = (
    NeedsGrad(True, False, False), NeedsGrad(False, True, False), NeedsGrad(False, False, True), NeedsGrad(True, True, False),
    NeedsGrad(True, True, True),
)  # fmt: skip
ONE_BLOCK, SLABS, ROW_BLOCKS, SEVERAL_BLOCKS = Blocks(37, 192), Blocks(37, 64), Blocks(32, 192), Blocks(32, 64)
OPTIONS = {
    "plain": {},
    "bias and scale": {"bias": True, "scale": 0.4},
    "all": {"bias": True, "scale": 1.5, "softcap": 2.5},
}


def ours(
    head: Head, linear: LinearHead, needs_grad: NeedsGrad, workspace_bytes: int = 1 << 20, launch=SMALL
) -> Gradients:
    return tiled_gradients(
        head.hidden_states, linear, head.targets, head.token_weight, *statistics(head, linear), needs_grad,
        workspace_bytes=workspace_bytes, launch=launch,
    )  # fmt: skip


def plain(head: Head, linear: LinearHead) -> Gradients:
    """By autograd, in the dtype of `head`."""
    head = head.trainable("hidden_states", "weight", "bias")
    reference.linear_cross_entropy(
        head.hidden_states, head.weight, head.targets, token_weight=head.token_weight, reduction="sum",
        bias=None if linear.bias is None else head.bias, logit_scale=linear.scale, logit_softcap=linear.softcap,
    ).backward()  # fmt: skip
    return Gradients(head.hidden_states.grad, head.weight.grad, head.bias.grad)


def assert_gradients_close(found: Gradients, head: Head, linear: LinearHead, needs_grad: NeedsGrad) -> None:
    dtype = head.hidden_states.dtype
    for is_needed, gradient, true, baseline in zip(
        needs_grad, found[:3], plain(head.double(), linear)[:3], plain(head, linear)[:3], strict=True
    ):
        assert (gradient is not None) == is_needed
        if gradient is None:
            continue
        assert gradient.dtype == gradient_dtype(dtype) and gradient.is_contiguous()
        if dtype == torch.float32:
            # The log-sum-exp that was saved in float32 is off by 2e-7, and with it every probability.
            torch.testing.assert_close(gradient.double(), true, rtol=0, atol=1e-6 * true.abs().max().item())
        else:
            assert_gradient_close(ours=gradient, truth=true, baseline=baseline)


# Every way to sum: in place or in a buffer, over slabs or blocks of rows or both, in one sweep or two.
WAYS = [
    (dtype, *way)
    for dtype in DTYPES
    for way in [
        (HIDDEN, "all", ONE_BLOCK, True),
        (HIDDEN, "plain", SEVERAL_BLOCKS, True),
        (WEIGHT, "plain", ONE_BLOCK, True),
        (WEIGHT, "bias and scale", SEVERAL_BLOCKS, True),
        (BOTH, "plain", SEVERAL_BLOCKS, True),
        (ALL, "all", SEVERAL_BLOCKS, True),
        (ALL, "bias and scale", ONE_BLOCK, True),
    ]
] + [
    (torch.bfloat16, BIAS, "all", SEVERAL_BLOCKS, True),
    (torch.bfloat16, NeedsGrad(True, False, True), "bias and scale", SEVERAL_BLOCKS, True),
    (torch.bfloat16, BOTH, "all", SLABS, True),
    (torch.bfloat16, BOTH, "plain", ROW_BLOCKS, True),
    (torch.bfloat16, BOTH, "plain", SEVERAL_BLOCKS, False),
    (torch.bfloat16, ALL, "all", SLABS, False),
]


@pytest.mark.parametrize(("dtype", "needs_grad", "options", "blocks", "is_one_sweep"), WAYS, ids=str)
def test_gradients_match_float64_truth(dtype, needs_grad, options, blocks, is_one_sweep, kernel_device, monkeypatch):
    monkeypatch.setattr(module, "plan_blocks", lambda *sizes: blocks)
    monkeypatch.setattr(module, "fits_one_sweep", lambda *sizes: is_one_sweep)
    head = Head.random(*SHAPE, dtype, ignored=0).to(kernel_device)
    linear = linear_head(head, **OPTIONS[options])
    assert_gradients_close(ours(head, linear, needs_grad), head, linear, needs_grad)


# One row, and fewer dimensions and columns than a block has; several groups of row tiles.
@pytest.mark.parametrize("shape", [(1, 8, 5), (70, 32, 64)], ids=str)
def test_other_sizes(shape, kernel_device, monkeypatch):
    monkeypatch.setattr("lift_kernels.kernels.tiled_statistics._ROW_TILES_PER_GROUP", 2)
    head = Head.random(*shape, torch.bfloat16, ignored=0).to(kernel_device)
    linear = linear_head(head, bias=True)
    assert_gradients_close(ours(head, linear, ALL), head, linear, ALL)


@pytest.mark.parametrize(
    ("num_rows", "dtype"), [(3, torch.float32), (70, torch.float32), (3, torch.float16), (130, torch.bfloat16)], ids=str
)
def test_the_launch_and_the_plan_of_the_product(num_rows, dtype, kernel_device):
    head = Head.random(num_rows, 96, 300, dtype, ignored=0).to(kernel_device)
    linear = linear_head(head, bias=True)
    workspace_bytes = least_workspace_bytes(96, dtype) + 4 * 300
    assert_gradients_close(ours(head, linear, ALL, workspace_bytes, launch=None), head, linear, ALL)


def test_float16_holds_heavy_rows_and_rare_columns(kernel_device):
    """A weight of 1000 on a certain error, and a probability of 1e-8, both in the gradient of the head."""
    hidden_states = torch.zeros(2, 16, dtype=torch.float16, device=kernel_device)
    hidden_states[0, 0] = hidden_states[1, 1] = 1.0
    weight = torch.zeros(40, 16, dtype=torch.float16, device=kernel_device)
    weight[1:, 0], weight[3:, 1] = -18.0, -19.0
    targets = torch.tensor([1, 0], device=kernel_device)
    head = Head(hidden_states, weight, weight[:, 0], targets, torch.tensor([1000.0, 1.0], device=kernel_device))
    gradient = ours(head, linear_head(head), WEIGHT).weight
    true = plain(head.double(), linear_head(head)).weight
    assert true[1, 0] < -999 and 0 < true[5, 0] < 2e-5 and 0 < true[5, 1] < 2e-9
    torch.testing.assert_close(gradient[:, 0].double(), true[:, 0], rtol=1e-3, atol=0)


@pytest.mark.parametrize("scale", [1.0, -0.3, 40.0])
@pytest.mark.parametrize("largest", [1e-37, 1e-30, 1e-3, 0.99, 1.0, 1000.0, 65536.0, 1e30])
def test_the_float16_factor_is_a_power_of_two(largest, scale):
    weights = torch.tensor([0.0, -largest, largest / 3])
    factor = module._float16_factor(weights, scale)
    mantissa, _ = torch.frexp(factor)
    assert factor.shape == () and mantissa == 0.5
    assert 2**13 <= largest * abs(scale) * factor.item() <= 2**14 or factor.item() == 2.0**127


def test_the_float16_factor_is_finite_whatever_the_weights():
    for weight in (0.0, torch.inf, torch.nan):
        factor = module._float16_factor(torch.full((3,), weight), 1.0)
        assert 0 < factor < torch.inf


def test_targets_outside_the_vocabulary_match_nothing(kernel_device):
    head = Head.random(9, 16, 170, ignored=0)
    targets = torch.tensor([170, 191, -1, -100, 2**32, 2**32 + 3, -(2**32) + 5, 2**62, 128])
    head = replace(head, targets=targets).to(kernel_device)
    linear = linear_head(head, bias=True)
    found = ours(head, linear, ALL)
    wide = head.double().trainable("hidden_states", "weight", "bias")
    logits = reference.linear_logits(wide.hidden_states, wide.weight, wide.bias)
    (wide.token_weight @ logits.logsumexp(1) - wide.token_weight[8] * logits[8, 128]).backward()
    for gradient, true in zip(found[:3], wide.grads("hidden_states", "weight", "bias"), strict=True):
        torch.testing.assert_close(gradient.double(), true, rtol=1e-4, atol=1e-4)


def test_logits_of_minus_infinity_have_no_gradient(kernel_device):
    head = Head.random(9, 16, 170, ignored=0)
    head.bias[:70] = -torch.inf
    head = replace(head, targets=head.targets.clamp(min=70)).to(kernel_device)
    linear = linear_head(head, bias=True)
    found = ours(head, linear, ALL)
    assert_gradients_close(found, head, linear, ALL)
    assert not found.weight[:70].any() and not found.bias[:70].any()


# numpy, in which the interpreter computes, says so when it meets a nan.
@pytest.mark.filterwarnings("ignore:.*encountered in.*:RuntimeWarning")
def test_a_nan_reaches_its_row_and_no_other(kernel_device):
    head = Head.random(20, 16, 170, ignored=0).to(kernel_device)
    linear = linear_head(head, bias=True)
    clean = ours(head, linear, ALL)
    head.hidden_states[7, 3] = torch.nan
    found = ours(head, linear, ALL)
    is_broken = torch.arange(20, device=kernel_device) == 7
    assert torch.equal(found.hidden_states.isnan().all(1), is_broken)
    torch.testing.assert_close(found.hidden_states[~is_broken], clean.hidden_states[~is_broken], rtol=0, atol=0)
    assert found.weight.isnan().all() and found.bias.isnan().all()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_no_rows_give_zeros(dtype, kernel_device):
    head = Head.random(0, 16, 100, dtype).to(kernel_device)
    for needs_grad in (HIDDEN, WEIGHT, ALL):
        found = ours(head, linear_head(head, bias=True), needs_grad)
        for is_needed, gradient, shape in zip(needs_grad, found[:3], [(0, 16), (100, 16), (100,)], strict=True):
            assert (gradient is not None) == is_needed
            if gradient is not None:
                assert gradient.shape == shape and gradient.dtype == gradient_dtype(dtype) and not gradient.any()


def test_rows_and_columns_apart_in_memory(kernel_device):
    head = Head.random(20, 40, 200, ignored=0).to(kernel_device)
    together = ours(head, linear_head(head), BOTH)
    apart = {
        "rows": (head.hidden_states.repeat_interleave(2, 0)[::2], head.weight.repeat_interleave(3, 0)[::3]),
        "transposed": (head.hidden_states.t().contiguous().t(), head.weight.t().contiguous().t()),
    }
    for hidden_states, weight in apart.values():
        moved = replace(head, hidden_states=hidden_states, weight=weight)
        for gradient, expected in zip(ours(moved, linear_head(moved), BOTH)[:2], together[:2], strict=True):
            torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-5)


def scratch_bytes(n: int, d: int, v: int, dtype: torch.dtype, needs_grad: NeedsGrad, blocks: Blocks) -> int:
    """What one sweep allocates, if a tile has the fewest rows that it may have."""
    is_rounded = gradient_dtype(dtype) != torch.float32
    total = blocks.rows * blocks.columns * dtype.itemsize
    if needs_grad.bias:
        total += 4 * v + 4 * blocks.columns * (1 + -(-blocks.rows // 16))
    if needs_grad.hidden_states and is_rounded and blocks.columns < v:
        total += 4 * d * (n if needs_grad.weight else blocks.rows)
    if needs_grad.weight and is_rounded and blocks.rows < n:
        total += 4 * d * blocks.columns
    return total


@pytest.mark.parametrize("needs_grad", [HIDDEN, WEIGHT, BIAS, BOTH, ALL, NeedsGrad(True, False, True)], ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("d", "v"), [(16, 170), (768, 30522), (3584, 152064), (4096, 126464), (8192, 262144)])
def test_scratch_stays_within_the_workspace(d, v, dtype, needs_grad):
    least = least_workspace_bytes(d, dtype) + 4 * v * needs_grad.bias
    sizes = [least * k // 7 for k in range(7, 50)] + [max(least, 64 << 20), max(least, 1 << 30)]
    for n, workspace_bytes in itertools.product((1, 100, 4096, 4097, 10**5), sizes):
        sweeps = [needs_grad]
        if needs_grad.hidden_states and needs_grad.weight and not fits_one_sweep(n, d, dtype, workspace_bytes):
            sweeps = [HIDDEN, needs_grad._replace(hidden_states=False)]
        for sweep in sweeps:
            blocks = plan_blocks(n, v, d, dtype, sweep, workspace_bytes)
            assert 1 <= blocks.rows <= n and blocks.columns % 128 == 0
            assert blocks.rows % 128 == 0 or blocks.rows == n
            assert scratch_bytes(n, d, v, dtype, sweep, blocks) <= workspace_bytes


def test_the_plan_knows_what_is_allocated(kernel_device, monkeypatch):
    allocated = []
    for name in ("new_empty", "new_zeros"):
        allocate = getattr(Tensor, name)

        def record(*args, _allocate=allocate, **options):
            tensor = _allocate(*args, **options)
            allocated.append(tensor.nbytes)
            return tensor

        monkeypatch.setattr(Tensor, name, record)
    n, d, v = 20, 16, 170
    for dtype, needs_grad, blocks, is_one_sweep in itertools.product(
        (torch.float32, torch.bfloat16), (HIDDEN, WEIGHT, ALL), (Blocks(20, 192), Blocks(16, 64)), (True, False)
    ):
        monkeypatch.setattr(module, "plan_blocks", lambda *sizes, blocks=blocks: blocks)
        monkeypatch.setattr(module, "fits_one_sweep", lambda *sizes, answer=is_one_sweep: answer)
        head = Head.random(n, d, v, dtype, ignored=0).to(kernel_device)
        linear = linear_head(head, bias=True)
        row_values = statistics(head, linear)
        allocated.clear()
        found = tiled_gradients(
            head.hidden_states, linear, head.targets, head.token_weight, *row_values, needs_grad,
            workspace_bytes=1 << 20, launch=WIDE,
        )  # fmt: skip
        sweeps = [needs_grad] if needs_grad != ALL or is_one_sweep else [HIDDEN, NeedsGrad(False, True, True)]
        expected = sum(scratch_bytes(n, d, v, dtype, sweep, blocks) for sweep in sweeps)
        expected -= 4 * blocks.columns * needs_grad.bias  # the sum of the tiles' sums, which torch allocates
        assert sum(allocated) - sum(gradient.nbytes for gradient in found[:2] if gradient is not None) == expected


def test_a_small_workspace_gives_products_of_a_useful_size():
    n, d, v, workspace_bytes = 4096, 4096, 126464, 64 << 20
    sizes = {
        needs_grad: plan_blocks(n, v, d, torch.bfloat16, needs_grad, workspace_bytes) for needs_grad in (HIDDEN, WEIGHT)
    }
    assert sizes == {HIDDEN: Blocks(2048, 7936), WEIGHT: Blocks(4096, 7936)}
    assert not fits_one_sweep(n, d, torch.bfloat16, workspace_bytes)
    assert fits_one_sweep(n // 2, d, torch.bfloat16, workspace_bytes)
    assert plan_blocks(n // 2, v, d, torch.bfloat16, BOTH, workspace_bytes) == Blocks(2048, 7936)
    assert least_workspace_bytes(d, torch.bfloat16) < 5 << 20
