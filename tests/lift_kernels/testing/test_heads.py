"""Random heads: what the tests of the ops rest on."""

from __future__ import annotations

import pytest
import torch

from lift_kernels.testing import DTYPES, Head


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_shapes_dtypes_and_ranges(dtype):
    head = Head.random(400, 16, 300, dtype)
    assert head.hidden_states.shape == (400, 16) and head.weight.shape == (300, 16) and head.bias.shape == (300,)
    assert {head.hidden_states.dtype, head.weight.dtype, head.bias.dtype} == {dtype}
    targets = head.targets[head.targets != -100]
    assert 0 <= targets.min() and targets.max() < 300 and 0.15 < 1 - targets.numel() / 400 < 0.35
    assert head.token_weight.dtype == torch.float32
    assert 1e-3 <= head.token_weight.min() < 0.01 and 100 < head.token_weight.max() <= 1e3
    logits = head.hidden_states.double() @ head.weight.double().T
    assert 0.9 < logits.std() < 1.1


def test_a_seed_is_a_head_and_dtypes_only_round_it():
    head, half = Head.random(9, 8, 30, torch.float64, seed=4), Head.random(9, 8, 30, torch.bfloat16, seed=4)
    assert torch.equal(head.weight.bfloat16(), half.weight) and torch.equal(head.targets, half.targets)
    assert not torch.equal(Head.random(9, 8, 30, seed=5).weight.double(), head.weight)
    assert not (Head.random(50, 8, 30, ignored=0.0).targets == -100).any()
    assert (Head.random(50, 8, 30, ignored=1.0).targets == -100).all()


def test_double_keeps_the_rounded_values():
    head = Head.random(9, 8, 30, torch.bfloat16)
    double = head.double()
    assert double.weight.dtype == double.token_weight.dtype == torch.float64
    assert torch.equal(double.weight.bfloat16(), head.weight) and torch.equal(double.bias.bfloat16(), head.bias)


def test_leaves_are_fresh_and_only_those_named_require_grad():
    head = Head.random(9, 8, 30)
    leaves = head.trainable("weight", "bias")
    assert not leaves.hidden_states.requires_grad and leaves.weight.requires_grad and leaves.weight.is_leaf
    assert leaves.weight.data_ptr() != head.weight.data_ptr() and not head.weight.requires_grad
    (2 * leaves.weight.sum() + 3 * leaves.bias.sum()).backward()
    weight, bias = leaves.grads("weight", "bias")
    assert (weight == 2).all() and (bias == 3).all()
    assert leaves.to(torch.device("cpu")).targets is leaves.targets
