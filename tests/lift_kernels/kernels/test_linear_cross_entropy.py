"""The Triton backend of the linear head through its public ops: every path against float64, and how they behave."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from lift_kernels import linear_cross_entropy, linear_token_stats, reference
from lift_kernels.kernels import linear_cross_entropy as kernels
from lift_kernels.linear_head import LinearHead, NeedsGrad
from lift_kernels.ops.linear_cross_entropy_op import linear_cross_entropy_sum
from lift_kernels.ops.linear_token_stats_op import token_stats
from lift_kernels.testing import Head, assert_gradient_close, assert_nats_close
from tests.lift_kernels.easy_tokens import TARGET, EasyTokens, relative
from tests.lift_kernels.kernel_paths import KERNEL_PATHS
from tests.lift_kernels.kernels.head_truth import gradients

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
LEAVES = ("hidden_states", "weight", "bias")
# About 9 rows take part, in chunks of 4; 33 is no multiple of a block; 331 columns are 256, 64 and 11.
SHAPE = (13, 33, 331)
PLAIN, SCALED, CAPPED = {}, {"logit_scale": 0.4}, {"logit_softcap": 2.5, "logit_scale": 1.5}


@pytest.fixture(params=KERNEL_PATHS)
def path(request, take_kernel_path):
    take_kernel_path(request.param)
    return request.param


def run(head: Head, function, names, grad=None, **options):
    head = head.trainable(*names)
    loss = function(
        head.hidden_states, head.weight, head.targets, token_weight=head.token_weight, bias=head.bias, **options
    )
    loss.backward(grad)
    return loss.detach(), head.grads(*names)


@pytest.mark.parametrize(("reduction", "options"), [("mean", PLAIN), ("none", CAPPED), ("sum", SCALED)], ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_loss_and_gradients_match_float64_truth(dtype, reduction, options, path, kernel_device):
    head = Head.random(*SHAPE, dtype).to(kernel_device)
    grad = torch.randn(SHAPE[0], device=kernel_device) if reduction == "none" else None
    options = {"reduction": reduction, **options}
    wide = None if grad is None else grad.double()
    loss, grads = run(head, linear_cross_entropy, LEAVES, grad, backend="triton", **options)
    truth, true_grads = run(head.double(), reference.linear_cross_entropy, LEAVES, wide, **options)
    _, plain_grads = run(head, reference.linear_cross_entropy, LEAVES, grad, **options)
    assert loss.dtype == torch.float32
    assert_nats_close(ours=loss, truth=truth)
    for ours, true, plain in zip(grads, true_grads, plain_grads, strict=True):
        assert ours.dtype == dtype
        assert_gradient_close(ours=ours, truth=true, baseline=plain)


@pytest.mark.parametrize("options", [PLAIN, CAPPED], ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_statistics_match_float64_truth(dtype, options, path, kernel_device):
    head = Head.random(*SHAPE, dtype).to(kernel_device)
    wide = head.double()
    for targets in (head.targets, None):
        stats = linear_token_stats(
            head.hidden_states, head.weight, targets, bias=head.bias, backend="triton", **options
        )
        *floats, argmax = reference.linear_token_stats(
            wide.hidden_states, wide.weight, targets, bias=wide.bias, **options
        )
        for ours, truth in zip(stats[:4], floats, strict=True):
            assert ours.dtype == torch.float32
            assert_nats_close(ours=ours, truth=truth)
        assert torch.equal(stats.argmax, argmax)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_tokens_all_but_certain_keep_their_relative_precision_and_their_order(dtype, path, kernel_device):
    easy, size = EasyTokens(dtype, 10).to(kernel_device), {"workspace_bytes": None}
    # A gradient is rounded once, and before it the exponentials, the factors and what a target adds to its row.
    rounding = 2e-5 if dtype == torch.float32 else 3 * 2.0**-8
    rows, ones = (easy.hidden_states, easy.head, easy.targets), torch.ones(10, device=kernel_device)
    stats = kernels.token_stats(*rows, all_stats=True, **size)
    everything = NeedsGrad(True, True, True)
    found = [(stats, kernels.gradients_from_stats(*rows, ones, stats.lse, stats.log_prob, everything, **size))]
    for needs_grad in (NeedsGrad(True, False, False), everything):
        stats, _, formed = kernels.loss_gradients(*rows, ones, needs_grad, all_stats=True, may_defer=True, **size)
        if formed.deferred is not None:
            weight, _ = kernels.head_gradients(formed.deferred, torch.ones((), device=kernel_device), needs_grad)
            formed = formed._replace(weight=weight)
        assert (formed.weight is not None) == needs_grad.weight
        found.append((stats, formed))
    for stats, formed in found:
        assert relative(-stats.log_prob, easy.nll) < 2e-5
        assert stats.log_prob.argsort(descending=True).equal(easy.easiest_first)
        assert stats.max_log_prob.equal(stats.log_prob)
        assert relative(formed.hidden_states, easy.grad_hidden) < rounding
        if formed.weight is not None:
            assert relative(formed.weight[TARGET], easy.grad_target_row) < rounding


def test_statistics_come_with_the_loss(path, kernel_device):
    head = Head.random(*SHAPE, torch.bfloat16).to(kernel_device).trainable("hidden_states")
    expected = linear_token_stats(head.hidden_states, head.weight, head.targets, backend="triton")
    for reduction in ("none", "sum"):
        _, stats = linear_cross_entropy(
            head.hidden_states, head.weight, head.targets, reduction=reduction, return_stats=True, backend="triton"
        )
        for ours, true in zip(stats, expected, strict=True):
            torch.testing.assert_close(ours, true, rtol=1e-6, atol=1e-6)


def test_ties_go_to_the_lowest_index(path, kernel_device):
    hidden_states, weight = torch.ones(3, 4, device=kernel_device), torch.zeros(1500, 4, device=kernel_device)
    weight[[7, 8, 300, 1100]] = 1.0
    assert linear_token_stats(hidden_states, weight, backend="triton").argmax.tolist() == [7, 7, 7]


def test_every_element_is_written(path, kernel_device, poison_new_tensors):
    """Uninitialised memory holds nan here, so an element that no program wrote would show."""
    head = Head.random(*SHAPE, torch.bfloat16).to(kernel_device)
    loss, grads = run(head, linear_cross_entropy, LEAVES, backend="triton")
    assert loss.isfinite() and all(grad.isfinite().all() for grad in grads)
    stats = linear_token_stats(head.hidden_states, head.weight, head.targets, backend="triton")
    assert all(values.isfinite().all() for values in stats)


def test_the_same_call_twice_gives_the_same_bits(path, kernel_device):
    head = Head.random(*SHAPE, torch.bfloat16).to(kernel_device)
    first, second = (run(head, linear_cross_entropy, LEAVES, backend="triton") for _ in range(2))
    assert torch.equal(first[0], second[0]) and all(map(torch.equal, first[1], second[1]))


@pytest.mark.parametrize("left", [1e-3, 1e-7, 1e-11])
def test_easy_tokens_keep_their_order_and_their_gradients(left, path, kernel_device):
    """What is left for the others falls by 2 % a token, as of a thousand tokens it would from 1e-3 to 1e-12."""
    logits = math.log(40 / left) + 0.02 * torch.arange(20, device=kernel_device)
    hidden_states, weight = logits[:, None] * torch.ones(1, 8, device=kernel_device), torch.zeros(41, 8)
    weight[17, 0] = 1.0
    weight = weight.to(kernel_device)
    targets = torch.full((20,), 17, device=kernel_device)
    stats, _, formed = kernels.loss_gradients(
        hidden_states, LinearHead(weight), targets, torch.ones(20, device=kernel_device),
        NeedsGrad(True, False, False), workspace_bytes=None, all_stats=True,
    )  # fmt: skip
    others = 40 * (-logits.double()).exp()
    torch.testing.assert_close(stats.log_prob.double(), -others.log1p(), rtol=3e-6, atol=0)
    assert (stats.log_prob.diff() > 0).all() and (stats.entropy.diff() < 0).all()
    torch.testing.assert_close(formed.hidden_states[:, 0].double(), -others / (1 + others), rtol=3e-6, atol=0)


@pytest.mark.parametrize("reduction", ["none", "sum"])
def test_dropped_rows_never_enter_a_product(reduction, path, kernel_device):
    head = Head.random(24, 16, 300, ignored=0).to(kernel_device)
    keep = torch.arange(24, device=kernel_device) % 3 != 0
    small = Head(head.hidden_states[keep], head.weight, head.bias, head.targets[keep], head.token_weight[keep])
    hidden_states = head.hidden_states.masked_fill(~keep[:, None], float("nan"))
    dirty = Head(hidden_states, head.weight, head.bias, head.targets.where(keep, -100), head.token_weight)
    grad = torch.ones(24, device=kernel_device) if reduction == "none" else None
    loss, grads = run(dirty, linear_cross_entropy, LEAVES, grad, reduction=reduction, backend="triton")
    small_loss, small_grads = run(
        small, linear_cross_entropy, LEAVES, None if grad is None else grad[keep], reduction=reduction, backend="triton"
    )
    assert torch.equal(loss[keep] if reduction == "none" else loss, small_loss)
    assert torch.equal(grads[0][keep], small_grads[0]) and not grads[0][~keep].any()
    assert torch.equal(grads[1], small_grads[1]) and torch.equal(grads[2], small_grads[2])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_any_of_the_gradients_alone_match_float64_truth(dtype, path, kernel_device):
    """Of each combination nothing else is computed; an entry is left out, and few rows leave a chunk of one."""
    head = Head.random(9, 17, 300, dtype, ignored=0.0).to(kernel_device)
    head.targets[head.targets == 3] = 4
    linear = LinearHead(head.weight, head.bias, 1.5, 2.5, exclude_index=3)
    log_prob, *truth = gradients(head, linear, head.token_weight)
    _, *baseline = gradients(head, linear, head.token_weight, dtype)
    for wants in itertools.product((True, False), repeat=3):
        if not any(wants):
            continue
        stats, _, formed = kernels.loss_gradients(
            head.hidden_states, linear, head.targets, head.token_weight, NeedsGrad(*wants), workspace_bytes=None,
            all_stats=False,
        )  # fmt: skip
        assert_nats_close(ours=stats.log_prob, truth=log_prob)
        assert formed.deferred is None
        for ours, true, plain, is_wanted in zip(formed[:3], truth, baseline, wants, strict=True):
            assert (ours is not None) == is_wanted
            if is_wanted:
                assert_gradient_close(ours=ours, truth=true, baseline=plain)


@pytest.mark.parametrize("targets", [True, False], ids=["targets", "no-targets"])
def test_the_runner_up_and_an_excluded_entry_pass_every_path(targets, path, kernel_device):
    head = Head.random(9, 17, 300, ignored=0.0).to(kernel_device)
    head.targets[head.targets == 3] = 4
    linear = LinearHead(head.weight, head.bias, exclude_index=3)
    head.weight[3] = 9 * head.hidden_states[0]
    stats = kernels.token_stats(
        head.hidden_states, linear, head.targets if targets else None, workspace_bytes=None, all_stats=True,
        runner_up=True,
    )  # fmt: skip
    wide = head.double()
    logits = wide.hidden_states @ wide.weight.T + wide.bias
    logits[:, 3] = -torch.inf
    best = logits.log_softmax(-1).topk(2)
    assert torch.equal(stats.argmax, best.indices[:, 0])
    assert_nats_close(ours=stats.max_log_prob, truth=best.values[:, 0])
    assert_nats_close(ours=stats.runner_up_log_prob, truth=best.values[:, 1])
    assert_nats_close(ours=stats.lse, truth=logits.logsumexp(-1))


def test_the_rank_passes_every_path(path, kernel_device):
    head = Head.random(9, 17, 300, ignored=0.0).to(kernel_device)
    linear = LinearHead(head.weight, head.bias, scale=-2.0, softcap=5.0, exclude_index=3)
    targets = head.targets.where(head.targets != 3, 4)
    targets[0] = 400  # of another part of the vocabulary: any rank, but no fault
    stats = kernels.token_stats(
        head.hidden_states, linear, targets, workspace_bytes=None, all_stats=False, rank=True
    )  # fmt: skip
    wide = head.double()
    logits = 5 * torch.tanh(-2 * (wide.hidden_states @ wide.weight.T + wide.bias) / 5)
    own = logits.gather(1, targets.clamp(max=299)[:, None])
    logits[:, 3] = -torch.inf
    assert torch.equal(stats.rank[1:], (1 + (logits > own).sum(1))[1:])
    assert_nats_close(ours=stats.runner_up_log_prob, truth=logits.log_softmax(-1).topk(2).values[:, 1])


def test_a_transposed_head_gets_contiguous_gradients(path, kernel_device):
    embedding = torch.randn(8, 64, device=kernel_device)
    hidden_states, targets = torch.randn(20, 8, device=kernel_device), torch.arange(20, device=kernel_device)
    found = []
    for weight in (embedding.T.requires_grad_(), embedding.T.contiguous().requires_grad_()):
        linear_cross_entropy(hidden_states, weight, targets, backend="triton").backward()
        found.append(weight.grad)
    torch.testing.assert_close(*found)


def test_leading_dimensions_and_strides_do_not_matter(path, kernel_device):
    head = Head.random(24, 16, 90).to(kernel_device)
    flat = linear_cross_entropy(head.hidden_states, head.weight, head.targets, reduction="none", backend="triton")
    strided = torch.stack([head.hidden_states, head.hidden_states], -1)[..., 0].view(4, 6, 16)
    transposed = head.weight.T.contiguous().T
    shaped = linear_cross_entropy(strided, transposed, head.targets.view(4, 6), reduction="none", backend="triton")
    torch.testing.assert_close(shaped, flat.view(4, 6))


@pytest.mark.parametrize("wants", [(True, True, True), (True, False, False)], ids=str)
def test_the_registered_ops_pass_opcheck(wants, path, kernel_device):
    head = Head.random(7, 8, 40).to(kernel_device)
    leaves = [x.requires_grad_(w) for x, w in zip((head.hidden_states, head.weight, head.bias), wants, strict=True)]
    settings = (-100, None, None, 0.5, 3.0)  # ignore_index, exclude_index, num_targets, logit_scale, logit_softcap
    torch.library.opcheck(
        linear_cross_entropy_sum,
        (*leaves, head.targets, head.token_weight, *settings, *wants, True, None, "triton"),
    )
    torch.library.opcheck(token_stats, (*leaves, head.targets, None, *settings, True, True, True, None, "triton"))


def test_compile_fullgraph_matches_eager(path, kernel_device):
    head = Head.random(9, 16, 200).to(kernel_device).trainable(*LEAVES)

    def step(hidden_states, weight, bias):
        loss, stats = linear_cross_entropy(
            hidden_states, weight, head.targets, bias=bias, token_weight=head.token_weight, return_stats=True,
            backend="triton",
        )  # fmt: skip
        return loss * 3 + stats.entropy.mean()

    leaves = (head.hidden_states, head.weight, head.bias)
    eager = torch.autograd.grad(step(*leaves), leaves)
    compiled = torch.compile(step, fullgraph=True, backend="aot_eager")
    for ours, true in zip(torch.autograd.grad(compiled(*leaves), leaves), eager, strict=True):
        torch.testing.assert_close(ours, true)


def test_autocast_casts_as_linear_does(path, kernel_device):
    head = Head.random(9, 16, 200).to(kernel_device).trainable(*LEAVES)
    with torch.autocast(kernel_device.type, dtype=torch.bfloat16):
        loss = linear_cross_entropy(head.hidden_states, head.weight, head.targets, bias=head.bias, backend="triton")
    loss.backward()
    rounded = [getattr(head, name).detach().bfloat16().requires_grad_() for name in LEAVES]
    expected = linear_cross_entropy(*rounded[:2], head.targets, bias=rounded[2], backend="triton")
    expected.backward()
    assert torch.equal(loss, expected)
    for ours, true in zip(head.grads(*LEAVES), rounded, strict=True):
        assert ours.dtype == torch.float32 and torch.equal(ours, true.grad.float())


def test_float64_says_which_backend_to_use():
    with pytest.raises(RuntimeError, match=r"the inputs are float64\. Use backend='auto' or 'torch'"):
        head = Head.random(4, 8, 16, torch.float64)
        linear_cross_entropy(head.hidden_states, head.weight, head.targets, backend="triton")


def test_a_workspace_below_one_block_is_refused(kernel_device):
    head = Head.random(4, 8, 16).to(kernel_device)
    with pytest.raises(ValueError, match=r"workspace_bytes must be at least \d+ for one block with D=8, got 10"):
        linear_cross_entropy(
            head.hidden_states.requires_grad_(), head.weight, head.targets, backend="triton", workspace_bytes=10
        )
