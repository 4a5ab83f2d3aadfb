"""Each bug that was published against another implementation of this op, as a test of ours on every path."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from lift_kernels import linear_cross_entropy, linear_token_stats, reference
from lift_kernels.testing import Head, assert_gradient_close, assert_nats_close
from tests.lift_kernels.kernel_paths import KERNEL_PATHS

LEAVES = ("hidden_states", "weight", "bias")


@pytest.fixture(params=["torch", *KERNEL_PATHS])
def options(request, take_kernel_path):
    """The arguments that send a call through one implementation."""
    if request.param == "torch":
        return {"backend": "torch", "workspace_bytes": 450_000}
    take_kernel_path(request.param)
    return {"backend": "triton"}


def assert_matches_truth(head: Head, options, *, rtol: float = 1e-6) -> None:
    """Per-token loss, statistics and all gradients."""
    wide = head.double()
    stats = linear_token_stats(head.hidden_states, head.weight, head.targets, bias=head.bias, **options)
    *floats, argmax = reference.linear_token_stats(wide.hidden_states, wide.weight, wide.targets, bias=wide.bias)
    for ours, truth in zip(stats[:4], floats, strict=True):
        assert_nats_close(ours=ours, truth=truth, rtol=rtol)
    assert torch.equal(stats.argmax, argmax)
    results = []
    for inputs, function, extra in (
        (head, linear_cross_entropy, options),
        (wide, reference.linear_cross_entropy, {}),
        (head, reference.linear_cross_entropy, {}),
    ):
        leaves = inputs.trainable(*LEAVES)
        loss = function(
            leaves.hidden_states, leaves.weight, leaves.targets, bias=leaves.bias, token_weight=leaves.token_weight,
            reduction="sum", **extra,
        )  # fmt: skip
        loss.backward()
        results.append(leaves.grads(*LEAVES))
    for ours, truth, plain in zip(*results, strict=True):
        assert_gradient_close(ours=ours, truth=truth, baseline=plain)


def low_head(n: int, d: int, v: int, level: float, device) -> Head:
    """All logits near `level`."""
    head = Head.random(n, d, v, ignored=0)
    return replace(head, bias=head.bias * 0.1 + level).to(device)


# 1100 as reported; 126464 and 152064, the vocabularies of LLaDA and Dream, leave 512 beyond multiples of 1024.
@pytest.mark.parametrize("vocab_size", [1100, 512 + 126464 % 512 + 1024, 1024 + 152064 % 1024])
def test_no_phantom_logits_of_zero_beyond_the_vocabulary(vocab_size, options, kernel_device):
    """verl 2899: columns past V counted as logits of 0, which far outweigh real logits of -3 and below."""
    assert_matches_truth(low_head(7, 8, vocab_size, -5.0, kernel_device), options, rtol=3e-6)


@pytest.mark.parametrize("level", [-200.0, 200.0])
def test_rows_whose_logits_are_all_far_from_zero(level, options, kernel_device):
    """verl: a maximum that starts at 0 makes log(0) of logits near -200."""
    head = low_head(7, 8, 300, level, kernel_device)
    wide = head.double()
    stats = linear_token_stats(head.hidden_states, head.weight, head.targets, bias=head.bias, **options)
    *floats, _ = reference.linear_token_stats(wide.hidden_states, wide.weight, wide.targets, bias=wide.bias)
    for ours, truth in zip(stats[:4], floats, strict=True):
        assert_nats_close(ours=ours, truth=truth, rtol=3e-6)
    ours, truth = head.trainable(*LEAVES), wide.trainable(*LEAVES)
    linear_cross_entropy(ours.hidden_states, ours.weight, ours.targets, bias=ours.bias, **options).backward()
    reference.linear_cross_entropy(truth.hidden_states, truth.weight, truth.targets, bias=truth.bias).backward()
    for name in LEAVES:  # a float32 near 200 is rounded by up to 8e-6, and so is the exponent of each probability
        grad, true_grad = getattr(ours, name).grad, getattr(truth, name).grad
        torch.testing.assert_close(grad.double(), true_grad, rtol=0, atol=3e-5 * true_grad.abs().max().item())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
def test_a_probability_near_one_keeps_its_gradient(dtype, options, kernel_device):
    """Liger 1329, 1419: p = 0.9995 stored in bfloat16 is 0.9961 or 1, an error far larger than p - 1."""
    weight = torch.zeros(300, 8, dtype=dtype, device=kernel_device)
    weight[17, 0] = 1.0
    hidden_states = torch.zeros(4, 8, dtype=dtype, device=kernel_device)
    hidden_states[:, 0] = torch.tensor([13.3, 13.5, 14.0, 15.0])
    targets = torch.full((4,), 17, device=kernel_device)
    ours, truth = hidden_states.clone().requires_grad_(), hidden_states.double().requires_grad_()
    linear_cross_entropy(ours, weight, targets, reduction="sum", **options).backward()
    reference.linear_cross_entropy(truth, weight.double(), targets, reduction="sum").backward()
    assert (truth.grad[:, 0].abs() < 6e-4).all()
    torch.testing.assert_close(ours.grad[:, 0].double(), truth.grad[:, 0], rtol=1e-2, atol=0)


def test_the_bias_is_added_once_however_wide_the_head(options, kernel_device):
    """CCE 52: subtracted once for each block of D."""
    head = Head.random(5, 300, 270, ignored=0)
    assert_matches_truth(replace(head, bias=head.bias * 5).to(kernel_device), options)


def test_a_target_in_the_last_partial_tile(options, kernel_device):
    head = Head.random(6, 16, 515)
    targets = torch.tensor([514, 513, 512, 511, 0, 514])
    assert_matches_truth(replace(head, targets=targets).to(kernel_device), options)


@pytest.mark.parametrize("ignore_index", [515, 516, 10**12, -(2**40) + 3])
def test_a_sentinel_beyond_the_vocabulary_matches_no_padded_column(ignore_index, options, kernel_device):
    """CCE 59: a target of V + 1 met a column of the last tile that does not exist."""
    head = Head.random(6, 16, 515, ignored=0).to(kernel_device)
    targets = head.targets.clone()
    targets[::2] = ignore_index
    stats = linear_token_stats(head.hidden_states, head.weight, targets, ignore_index=ignore_index, **options)
    expected = linear_token_stats(head.hidden_states[1::2], head.weight, targets[1::2], **options)
    for ours, true in zip(stats, expected, strict=True):
        assert torch.equal(ours[1::2], true) and ours.isfinite().all()


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_all_rows_ignored_give_zero_and_zero_gradients(reduction, options, kernel_device):
    """Liger 177: a division by zero; torchtune, NeMo and OpenRLHF: nan."""
    head = Head.random(5, 8, 50).to(kernel_device).trainable(*LEAVES)
    loss = linear_cross_entropy(
        head.hidden_states, head.weight, torch.full_like(head.targets, -100), bias=head.bias, reduction=reduction,
        **options,
    )  # fmt: skip
    assert not loss.any() and loss.isfinite().all()
    loss.sum().backward()
    assert all(grad is not None and torch.equal(grad, torch.zeros_like(grad)) for grad in head.grads(*LEAVES))


def test_a_trained_head_before_frozen_hidden_states_gets_its_gradient(options, kernel_device):
    """Liger: no gradient at all where only the weight requires one."""
    head = Head.random(6, 8, 50).to(kernel_device).trainable("weight")
    linear_cross_entropy(head.hidden_states, head.weight, head.targets, **options).backward()
    truth = head.double().trainable("weight")
    reference.linear_cross_entropy(truth.hidden_states, truth.weight, truth.targets).backward()
    torch.testing.assert_close(head.weight.grad.double(), truth.weight.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_a_second_backward_with_retain_graph(reduction, options, kernel_device):
    """QuACK 209: saved gradients were scaled in place."""
    head = Head.random(6, 8, 50).to(kernel_device).trainable(*LEAVES)
    loss = linear_cross_entropy(
        head.hidden_states, head.weight, head.targets, bias=head.bias, reduction=reduction, **options
    ).sum()
    first = torch.autograd.grad(loss * 3, (head.hidden_states, head.weight, head.bias), retain_graph=True)
    second = torch.autograd.grad(loss * 3, (head.hidden_states, head.weight, head.bias))
    assert all(map(torch.equal, first, second)) and first[1].any()


def test_without_reduction_each_token_has_its_own_upstream_gradient(options, kernel_device):
    """Liger 488, 678, 968: every token was given the first token's, which is 0 where that one is ignored."""
    head = Head.random(7, 8, 60, ignored=0).to(kernel_device)
    targets = head.targets.clone()
    targets[0] = -100
    upstream = torch.tensor([1.0, 2.0, -3.0, 0.5, 0.0, 10.0, 1e-3], device=kernel_device)
    ours, truth = head.trainable(*LEAVES), head.double().trainable(*LEAVES)
    linear_cross_entropy(ours.hidden_states, ours.weight, targets, reduction="none", **options).backward(upstream)
    reference.linear_cross_entropy(truth.hidden_states, truth.weight, targets, reduction="none").backward(
        upstream.double()
    )
    for name in ("hidden_states", "weight"):
        torch.testing.assert_close(getattr(ours, name).grad.double(), getattr(truth, name).grad, rtol=1e-4, atol=1e-6)


def test_gradients_of_many_chunks_are_summed_in_float32(options, kernel_device):
    """Liger 512: summed in bfloat16, the gradient of the head loses what each further chunk adds."""
    n = 48
    hidden_states = torch.ones(n, 8, dtype=torch.bfloat16, device=kernel_device)
    weight = torch.zeros(64, 8, dtype=torch.bfloat16, device=kernel_device, requires_grad=True)
    # One heavy token and many light ones: bfloat16 would drop every light one.
    token_weight = torch.full((n,), 1 / 300, device=kernel_device)
    token_weight[0] = 1.0
    targets = torch.zeros(n, dtype=torch.int64, device=kernel_device)
    linear_cross_entropy(
        hidden_states, weight, targets, token_weight=token_weight, reduction="sum", **options
    ).backward()
    expected = (1 + (n - 1) / 300) * (1 / 64 - 1)
    assert weight.grad[0, 0].item() == pytest.approx(expected, rel=2**-8)
    assert weight.grad[5, 0].item() == pytest.approx((1 + (n - 1) / 300) / 64, rel=2**-8)


def test_a_float32_head_under_autocast(options, kernel_device):
    """Liger 305, 1283: a dtype mismatch of a float32 weight and bfloat16 hidden states."""
    head = Head.random(6, 8, 50).to(kernel_device).trainable("weight")
    with torch.autocast(kernel_device.type, dtype=torch.bfloat16):
        loss = linear_cross_entropy(head.hidden_states.bfloat16(), head.weight, head.targets, **options)
    loss.backward()
    assert head.weight.grad.dtype == torch.float32 and head.weight.grad.any()
