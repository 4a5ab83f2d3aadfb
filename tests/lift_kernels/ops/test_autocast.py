"""The cast of a head's weight under torch.autocast: kept and shared as torch's own linear layers do."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

from lift_kernels import linear_cross_entropy, linear_token_stats
from lift_kernels.testing import Head


class Casts(TorchDispatchMode):
    """Counts casts of tensors of the head's shape."""

    def __init__(self, shape):
        super().__init__()
        self.shape, self.count = shape, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func is torch.ops.aten._to_copy.default and args[0].shape == self.shape
        return func(*args, **(kwargs or {}))


def own(head, **options):
    return linear_cross_entropy(head.hidden_states, head.weight, head.targets, bias=head.bias, **options)


def torch_linear(head):
    return F.linear(head.hidden_states, head.weight).float().logsumexp(-1).sum()


def casts(head, *calls, cache_enabled=True):
    with torch.autocast("cpu", torch.bfloat16, cache_enabled=cache_enabled), Casts(head.weight.shape) as seen:
        for call in calls:
            call(head)
    return seen.count


@pytest.mark.parametrize(
    "calls", [(own, own, own), (own, torch_linear), (torch_linear, own), (torch_linear, torch_linear)], ids=len
)
def test_a_trained_head_is_cast_once_in_a_context(calls):
    head = Head.random(30, 16, 200).trainable("hidden_states", "weight", "bias")
    assert casts(head, *calls) == 1
    assert casts(head, *calls) == 1  # the next context starts afresh
    assert casts(head, *calls, cache_enabled=False) == len(calls)


def test_nothing_else_is_kept():
    """Every call of a long context would add to the cache."""
    head = Head.random(30, 16, 200).trainable("weight")
    with torch.autocast("cpu", torch.bfloat16), Casts((16, 0)) as seen:
        own(head)
    assert seen.count == 0


def test_what_torch_does_not_keep_is_not_kept():
    frozen = Head.random(30, 16, 200).trainable("hidden_states")
    assert casts(frozen, own, own) == casts(frozen, torch_linear, torch_linear) == 2


def test_the_cast_ends_with_the_context():
    """An optimiser's step between two contexts is seen."""
    head = Head.random(30, 16, 200).trainable("hidden_states", "weight")
    losses = []
    for _ in range(2):
        with torch.autocast("cpu", torch.bfloat16):
            losses.append(own(head).item())
        with torch.no_grad():
            head.weight.mul_(2)
    with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
        head.weight.data.div_(2)
        assert own(head).item() == losses[1] != losses[0]


@pytest.mark.parametrize("others", [(), (torch_linear,), (own,)], ids=len)
def test_gradients_come_through_the_cast(others):
    head, plain = (Head.random(30, 16, 200).trainable("hidden_states", "weight", "bias") for _ in range(2))
    for tensors, cache_enabled in ((head, True), (plain, False)):
        with torch.autocast("cpu", torch.bfloat16, cache_enabled=cache_enabled):
            loss = own(tensors) + sum(call(tensors) for call in others)
        loss.backward()
    assert head.weight.grad.dtype == torch.float32
    for ours, true in zip(head.grads("hidden_states", "bias"), plain.grads("hidden_states", "bias"), strict=True):
        assert torch.equal(ours, true)
    # Of several uses of one cast torch adds the gradients in bfloat16.
    torch.testing.assert_close(
        head.weight.grad, plain.weight.grad, rtol=2**-7 if others else 0, atol=1e-3 if others else 0
    )


def test_a_cast_that_torch_kept_without_a_graph_still_gets_a_gradient():
    head = Head.random(30, 16, 200).trainable("hidden_states", "weight")
    with torch.autocast("cpu", torch.bfloat16):
        with torch.no_grad():
            torch_linear(head)
            linear_token_stats(head.hidden_states, head.weight)
        own(head).backward()
    assert head.weight.grad.any()


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_scoring_first_does_not_hide_the_graph(mode):
    head = Head.random(30, 16, 200).trainable("hidden_states", "weight")
    with torch.autocast("cpu", torch.bfloat16):
        with mode():
            stats = linear_token_stats(head.hidden_states, head.weight)
            assert not stats.lse.requires_grad
        own(head).backward()
    assert head.weight.grad.any()


def test_checkpointing_sees_nothing_of_it():
    head, plain = (Head.random(30, 16, 200).trainable("hidden_states", "weight", "bias") for _ in range(2))
    with torch.autocast("cpu", torch.bfloat16):
        own(plain).backward()
        checkpoint(lambda _: own(head), head.hidden_states, use_reentrant=False).backward()
    assert torch.equal(head.weight.grad, plain.weight.grad)
