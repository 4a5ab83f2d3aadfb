"""An entry of the vocabulary without probability, in every op that takes a head."""

from __future__ import annotations

import itertools

import pytest
import torch

from lift_kernels import LinearCrossEntropyLoss, lift_cross_entropy, linear_cross_entropy, linear_token_stats, reference
from lift_kernels.testing import Head, assert_gradient_close, assert_nats_close
from tests.lift_kernels.kernel_paths import KERNEL_PATHS

N, D, V = 13, 16, 300
LEAVES = ("hidden_states", "weight", "bias")
OPTIONS = {"plain": {}, "softcap": {"logit_softcap": 2.5, "logit_scale": 1.5}}
WAYS = [("torch", None), ("torch", 300_000), *(("triton", path) for path in KERNEL_PATHS)]


@pytest.fixture
def backend(request, take_kernel_path):
    name, way = request.param
    if name == "triton":
        take_kernel_path(way)
    return {"backend": name, "workspace_bytes": way if name == "torch" else None}


every_way = pytest.mark.parametrize("backend", WAYS, ids=str, indirect=True)


def random_head(exclude_index, dtype=torch.float32):
    """The excluded entry would be by far the most likely, and its row counts where it is read."""
    head = Head.random(N, D, V, dtype)
    head.bias[exclude_index] = 30.0
    head.targets[head.targets == exclude_index] = (exclude_index + 1) % V
    return head


def without(head, exclude_index):
    """The same head with the entry left out: targets, weight (V - 1, D), bias (V - 1,), and which entries are left."""
    left = torch.arange(V) != exclude_index
    targets = head.targets - (head.targets > exclude_index).long()
    return targets, head.weight[left], head.bias[left], left


def truth(head, exclude_index, names, dtype=torch.float64, **options):
    """(nll (N,), gradients of sum_i token_weight_i nll_i), by the definition on the smaller vocabulary."""
    head = (head.double() if dtype == torch.float64 else head).trainable(*names)
    targets, weight, bias, _ = without(head, exclude_index)
    nll = reference.linear_cross_entropy(head.hidden_states, weight, targets, bias=bias, reduction="none", **options)
    (nll * head.token_weight).sum().backward()
    return nll.detach(), head.grads(*names)


# The interpreter is slow, so the Triton backend takes each option once.
CASES = [
    *((way, *rest) for way in WAYS[:2] for rest in itertools.product((0, 255, V - 1), (LEAVES[:1], LEAVES), OPTIONS)),
    *((way, *rest) for way in WAYS[2:] for rest in ((0, LEAVES[:1], "plain"), (255, LEAVES, "softcap"))),
]


@pytest.mark.parametrize(("backend", "exclude_index", "names", "option"), CASES, ids=str, indirect=["backend"])
def test_losses_and_gradients_are_those_of_the_smaller_vocabulary(exclude_index, names, option, backend):
    options = OPTIONS[option]
    head = random_head(exclude_index)
    nll, gradients = truth(head, exclude_index, names, **options)
    _, plain = truth(head, exclude_index, names, torch.float32, **options)
    for reduction in ("none", "sum"):
        leaf = head.trainable(*names)
        loss = linear_cross_entropy(
            leaf.hidden_states, leaf.weight, leaf.targets, bias=leaf.bias, token_weight=leaf.token_weight,
            exclude_index=exclude_index, reduction=reduction, **backend, **options,
        )  # fmt: skip
        if reduction == "none":
            assert_nats_close(ours=loss.detach() / leaf.token_weight, truth=nll)
        loss.sum().backward()
        for name, ours, true, base in zip(names, leaf.grads(*names), gradients, plain, strict=True):
            assert_gradient_close(ours=ours, truth=true, baseline=base)
            if name != "hidden_states":
                assert not ours[exclude_index].any()


@every_way
@pytest.mark.parametrize("has_targets", [True, False])
def test_statistics_are_those_of_the_smaller_vocabulary(has_targets, backend):
    head = random_head(255)
    targets, weight, bias, left = without(head.double(), 255)
    stats = linear_token_stats(
        head.hidden_states, head.weight, head.targets if has_targets else None, bias=head.bias, exclude_index=255,
        runner_up=True, **backend,
    )  # fmt: skip
    wide = head.double().hidden_states
    *floats, argmax = reference.linear_token_stats(wide, weight, targets if has_targets else None, bias=bias)
    for ours, true in zip(stats[:4], floats, strict=True):
        assert_nats_close(ours=ours, truth=true)
    entries = torch.arange(V)[left]
    assert torch.equal(stats.argmax, entries[argmax.clamp(min=0)].where(argmax >= 0, -1))
    second = reference.linear_logits(wide, weight, bias).log_softmax(-1).topk(2).values[:, 1]
    assert_nats_close(ours=stats.runner_up_log_prob, truth=second.where(argmax >= 0, 0))


@every_way
@pytest.mark.parametrize("learnability", ["hard", "soft"])
def test_lift_ranks_and_trains_with_the_smaller_vocabulary(learnability, backend):
    head = random_head(7)
    num_masked = (head.targets[:12].view(3, 4) != -100).sum(1)
    rows = torch.tensor([0.3, 0.8, 0.5]), num_masked // 2, torch.tensor([1, -1, 0])
    results = []
    for function, exclude in ((lift_cross_entropy, {"exclude_index": 7} | backend), (reference.lift_cross_entropy, {})):
        leaf = (head if exclude else head.double()).trainable(*LEAVES)
        targets, weight, bias, _ = (leaf.targets, leaf.weight, leaf.bias, None) if exclude else without(leaf, 7)
        options = {"return_learnability": True} if exclude else {}
        time = rows[0].to(leaf.token_weight.dtype)
        loss, c = function(
            leaf.hidden_states[:12].view(3, 4, D), weight, targets[:12].view(3, 4), time, *rows[1:], bias=bias,
            learnability=learnability, seed=5, **exclude, **options,
        )  # fmt: skip
        loss.backward()
        results.append((loss.detach(), c, *leaf.grads(*LEAVES)))
    ours, true = results
    assert_nats_close(ours=ours[0], truth=true[0])
    torch.testing.assert_close(ours[1].double(), true[1], rtol=1e-4, atol=1e-5)
    for gradient, expected in zip(ours[2:], true[2:], strict=True):
        torch.testing.assert_close(gradient.double(), expected, rtol=1e-4, atol=1e-5)


def test_an_excluded_target_is_named_by_every_op():
    head = random_head(7)
    targets = head.targets.clone()
    targets[3] = 7
    row = torch.tensor([1]), torch.tensor([1])
    calls = {
        "linear_cross_entropy: targets": lambda: linear_cross_entropy(
            head.hidden_states, head.weight, targets, exclude_index=7
        ),
        "linear_token_stats: targets": lambda: linear_token_stats(
            head.hidden_states, head.weight, targets, exclude_index=7
        ),
        "lift_cross_entropy: labels": lambda: lift_cross_entropy(
            head.hidden_states[None], head.weight, targets[None], torch.tensor([0.5]), *row, exclude_index=7
        ),
    }
    for name, call in calls.items():
        with pytest.raises(ValueError, match=f"^{name} must not equal exclude_index, 7, which has no probability"):
            call()


def test_the_excluded_entry_is_one_of_several():
    head = random_head(7)
    for exclude_index in (-1, V):
        with pytest.raises(ValueError, match=rf"exclude_index must lie in \[0, {V}\), got {exclude_index}"):
            linear_cross_entropy(head.hidden_states, head.weight, head.targets, exclude_index=exclude_index)
    with pytest.raises(ValueError, match="exclude_index must be None for a vocabulary of one entry"):
        linear_token_stats(torch.ones(3, 4), torch.ones(1, 4), exclude_index=0)


def test_the_module_passes_it_on():
    head = random_head(7)
    inputs = (head.hidden_states, head.weight, head.targets)
    loss = LinearCrossEntropyLoss(exclude_index=7)(*inputs, bias=head.bias)
    assert torch.equal(loss, linear_cross_entropy(*inputs, bias=head.bias, exclude_index=7))
    assert not torch.equal(loss, linear_cross_entropy(*inputs, bias=head.bias))
