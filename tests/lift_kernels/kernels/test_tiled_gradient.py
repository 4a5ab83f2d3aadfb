from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lift_kernels import reference
from lift_kernels.kernels import tiled_gradient as module
from lift_kernels.kernels.launch_configs import Launch
from lift_kernels.kernels.tiled_gradient import (
    Blocks,
    Rows,
    fits_one_sweep,
    least_workspace_bytes,
    plan_blocks,
    tiled_gradient,
    tiled_gradients,
)
from lift_kernels.linear_head import Gradients, LinearHead, Wanted, gradient_dtype
from lift_kernels.testing import Head, assert_gradient_close

pytestmark = pytest.mark.usefixtures("poison_new_tensors")

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
SMALL = Launch({"BLOCK_N": 16, "BLOCK_V": 32, "BLOCK_D": 16}, num_warps=4, num_stages=2)
WIDE = Launch({"BLOCK_N": 16, "BLOCK_V": 256, "BLOCK_D": 16}, num_warps=4, num_stages=2)
# Rows in tiles of 16 and dimensions in steps of 16 leave some over; so do columns in tiles of 32 and slabs of 64.
SHAPE = (37, 20, 170)
HIDDEN, WEIGHT, BIAS, BOTH, ALL = (
    Wanted(True, False, False), Wanted(False, True, False), Wanted(False, False, True), Wanted(True, True, False),
    Wanted(True, True, True),
)  # fmt: skip
ONE_BLOCK, SLABS, ROW_BLOCKS, SEVERAL_BLOCKS = Blocks(37, 192), Blocks(37, 64), Blocks(32, 192), Blocks(32, 64)
OPTIONS = {
    "plain": {},
    "bias and scale": {"bias": True, "scale": 0.4},
    "all": {"bias": True, "scale": 1.5, "softcap": 2.5},
}


def linear_head(head: Head, *, bias: bool = False, scale: float = 1.0, softcap: float | None = None) -> LinearHead:
    return LinearHead(head.weight, head.bias if bias else None, scale, softcap)


def statistics(head: Head, linear: LinearHead) -> tuple[Tensor, Tensor]:
    """(lse, log_prob) of the truth, in float32."""
    wide = head.double()
    bias = None if linear.bias is None else wide.bias
    logits = reference.linear_logits(wide.hidden_states, wide.weight, bias, linear.scale, linear.softcap)
    is_inside = (head.targets >= 0) & (head.targets < len(wide.weight))
    gold = logits.gather(1, head.targets.where(is_inside, 0)[:, None])[:, 0]
    lse = logits.logsumexp(1)
    return lse.float(), (gold - lse).where(is_inside, -torch.inf).float()


def ours(head: Head, linear: LinearHead, wanted: Wanted, workspace_bytes: int = 1 << 20, launch=SMALL) -> Gradients:
    return tiled_gradients(
        head.hidden_states, linear, head.targets, head.token_weight, *statistics(head, linear), wanted,
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


def assert_gradients_close(found: Gradients, head: Head, linear: LinearHead, wanted: Wanted) -> None:
    dtype = head.hidden_states.dtype
    for is_wanted, gradient, true, baseline in zip(
        wanted, found, plain(head.double(), linear), plain(head, linear), strict=True
    ):
        assert (gradient is not None) == is_wanted
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
    (torch.bfloat16, Wanted(True, False, True), "bias and scale", SEVERAL_BLOCKS, True),
    (torch.bfloat16, BOTH, "all", SLABS, True),
    (torch.bfloat16, BOTH, "plain", ROW_BLOCKS, True),
    (torch.bfloat16, BOTH, "plain", SEVERAL_BLOCKS, False),
    (torch.bfloat16, ALL, "all", SLABS, False),
]


@pytest.mark.parametrize(("dtype", "wanted", "options", "blocks", "is_one_sweep"), WAYS, ids=str)
def test_gradients_match_float64_truth(dtype, wanted, options, blocks, is_one_sweep, kernel_device, monkeypatch):
    monkeypatch.setattr(module, "plan_blocks", lambda *sizes: blocks)
    monkeypatch.setattr(module, "fits_one_sweep", lambda *sizes: is_one_sweep)
    head = Head.random(*SHAPE, dtype, ignored=0).to(kernel_device)
    linear = linear_head(head, **OPTIONS[options])
    assert_gradients_close(ours(head, linear, wanted), head, linear, wanted)


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
    factor = module._float16_factor(head.token_weight, linear.scale) if is_half else None
    lse, log_prob = statistics(head, linear)
    rows = Rows(head.hidden_states, head.targets, head.token_weight, lse, log_prob)
    slab = linear._replace(
        weight=linear.weight[first_column:], bias=None if linear.bias is None else linear.bias[first_column:]
    )
    gradient = head.hidden_states.new_empty((len(lse), len(slab.weight)))
    sums = lse.new_empty((-(-len(lse) // 16), len(slab.weight)))
    column_sums = tiled_gradient(rows, slab, first_column, factor, gradient, sums, SMALL)
    return gradient.double() / (1 if factor is None else factor), column_sums.double(), true[:, first_column:]


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
        gold = true.gather(1, head.targets[:, None])[:20, 0] / head.token_weight[:20]
        assert (gold < 0).all() and (gold > -1e-4).all()


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
    for gradient, true in zip(found, wide.grads("hidden_states", "weight", "bias"), strict=True):
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
    for wanted in (HIDDEN, WEIGHT, ALL):
        found = ours(head, linear_head(head, bias=True), wanted)
        for is_wanted, gradient, shape in zip(wanted, found, [(0, 16), (100, 16), (100,)], strict=True):
            assert (gradient is not None) == is_wanted
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


def scratch_bytes(n: int, d: int, v: int, dtype: torch.dtype, wanted: Wanted, blocks: Blocks) -> int:
    """What one sweep allocates, if a tile has the fewest rows that it may have."""
    is_rounded = gradient_dtype(dtype) != torch.float32
    total = blocks.rows * blocks.columns * dtype.itemsize
    if wanted.bias:
        total += 4 * v + 4 * blocks.columns * (1 + -(-blocks.rows // 16))
    if wanted.hidden_states and is_rounded and blocks.columns < v:
        total += 4 * d * (n if wanted.weight else blocks.rows)
    if wanted.weight and is_rounded and blocks.rows < n:
        total += 4 * d * blocks.columns
    return total


@pytest.mark.parametrize("wanted", [HIDDEN, WEIGHT, BIAS, BOTH, ALL, Wanted(True, False, True)], ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("d", "v"), [(16, 170), (768, 30522), (3584, 152064), (4096, 126464), (8192, 262144)])
def test_scratch_stays_within_the_workspace(d, v, dtype, wanted):
    least = least_workspace_bytes(d, dtype) + 4 * v * wanted.bias
    sizes = [least * k // 7 for k in range(7, 50)] + [max(least, 64 << 20), max(least, 1 << 30)]
    for n, workspace_bytes in itertools.product((1, 100, 4096, 4097, 10**5), sizes):
        sweeps = [wanted]
        if wanted.hidden_states and wanted.weight and not fits_one_sweep(n, d, dtype, workspace_bytes):
            sweeps = [HIDDEN, wanted._replace(hidden_states=False)]
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
    for dtype, wanted, blocks, is_one_sweep in itertools.product(
        (torch.float32, torch.bfloat16), (HIDDEN, WEIGHT, ALL), (Blocks(20, 192), Blocks(16, 64)), (True, False)
    ):
        monkeypatch.setattr(module, "plan_blocks", lambda *sizes, blocks=blocks: blocks)
        monkeypatch.setattr(module, "fits_one_sweep", lambda *sizes, answer=is_one_sweep: answer)
        head = Head.random(n, d, v, dtype, ignored=0).to(kernel_device)
        linear = linear_head(head, bias=True)
        row_values = statistics(head, linear)
        allocated.clear()
        found = tiled_gradients(
            head.hidden_states, linear, head.targets, head.token_weight, *row_values, wanted,
            workspace_bytes=1 << 20, launch=WIDE,
        )  # fmt: skip
        sweeps = [wanted] if wanted != ALL or is_one_sweep else [HIDDEN, Wanted(False, True, True)]
        expected = sum(scratch_bytes(n, d, v, dtype, sweep, blocks) for sweep in sweeps)
        expected -= 4 * blocks.columns * wanted.bias  # the sum of the tiles' sums, which torch allocates
        assert sum(allocated) - sum(gradient.nbytes for gradient in found[:2] if gradient is not None) == expected


def test_a_small_workspace_gives_products_of_a_useful_size():
    n, d, v, workspace_bytes = 4096, 4096, 126464, 64 << 20
    sizes = {wanted: plan_blocks(n, v, d, torch.bfloat16, wanted, workspace_bytes) for wanted in (HIDDEN, WEIGHT)}
    assert sizes == {HIDDEN: Blocks(2048, 7936), WEIGHT: Blocks(4096, 7936)}
    assert not fits_one_sweep(n, d, torch.bfloat16, workspace_bytes)
    assert fits_one_sweep(n // 2, d, torch.bfloat16, workspace_bytes)
    assert plan_blocks(n // 2, v, d, torch.bfloat16, BOTH, workspace_bytes) == Blocks(2048, 7936)
    assert least_workspace_bytes(d, torch.bfloat16) < 5 << 20
