"""A wrong number of targets, or an excluded one, where neither is read: no loss and no gradient looks right."""

from __future__ import annotations

import pytest
import torch

from lift_kernels import lift_cross_entropy, linear_cross_entropy, linear_token_stats
from lift_kernels.ops import active_rows
from lift_kernels.testing import Head
from tests.lift_kernels.kernel_paths import KERNEL_PATHS

N, D, V = 6, 8, 270
LEAVES = ("hidden_states", "weight", "bias")
WAYS = [("torch", None), *(("triton", path) for path in KERNEL_PATHS)]


def mean(head, options):
    return linear_cross_entropy(head.hidden_states, head.weight, head.targets, bias=head.bias, **options)


def each(head, options):
    return mean(head, options | {"reduction": "none"}).sum()


def log_prob(head, options):
    stats = linear_token_stats(
        head.hidden_states, head.weight, head.targets, bias=head.bias, differentiable=True, **options
    )
    return stats.log_prob.sum()


def entropy(head, options):
    stats = linear_token_stats(
        head.hidden_states, head.weight, head.targets, bias=head.bias, differentiable=True, **options
    )
    return stats.entropy.sum() - stats.log_prob.sum()


def lift(head, options):
    return lift_cross_entropy(
        head.hidden_states.view(2, 3, D), head.weight, head.targets.view(2, 3), torch.tensor([0.5, 0.8]),
        torch.tensor([1, 2]), torch.tensor([1, 0]), bias=head.bias, seed=1, **options,
    )  # fmt: skip


@pytest.fixture
def far_away(monkeypatch):
    """Tensors are taken for those of an accelerator, whose values are not read, and reports for under way."""
    monkeypatch.setattr(active_rows, "_is_read", lambda targets: False)
    monkeypatch.setattr(active_rows, "report_later", lambda is_wrong, message: None)


@pytest.fixture
def backend(request, take_kernel_path, far_away):
    name, way = request.param
    if name == "triton":
        take_kernel_path(way)
    return name


def head_of_four_targets(trained):
    head = Head.random(N, D, V, torch.float32, ignored=0)
    head.targets[[1, 4]] = -100
    return head.trainable(*(LEAVES if trained else LEAVES[:1]))


# The interpreter is slow, so the Triton backend takes a trained head only.
@pytest.mark.parametrize(
    ("backend", "trained"), [(WAYS[0], False), *((way, True) for way in WAYS)], ids=str, indirect=["backend"]
)
@pytest.mark.parametrize("loss", [mean, each, log_prob, entropy, lift], ids=lambda loss: loss.__name__)
@pytest.mark.parametrize("options", [{"num_targets": n} for n in (0, 2, 5)] + [{"exclude_index": 7}], ids=str)
def test_loss_and_gradients_are_nan(loss, trained, options, backend):
    head = head_of_four_targets(trained)
    if "exclude_index" in options:
        head.targets[2] = 7
    value = loss(head, {"backend": backend, **options})
    value.backward()
    assert value.isnan()
    assert head.hidden_states.grad.isnan().any(1).sum() > 0
    for name in LEAVES[1:] if trained else ():
        is_nan = getattr(head, name).grad.isnan()
        assert is_nan[torch.arange(V) != options.get("exclude_index")].all()


@pytest.mark.parametrize("backend", WAYS, ids=str, indirect=True)
@pytest.mark.parametrize("loss", [mean, each, log_prob, entropy, lift], ids=lambda loss: loss.__name__)
def test_a_right_count_changes_nothing(loss, backend):
    heads = [head_of_four_targets(trained=True) for _ in range(2)]
    values = [
        loss(head, {"backend": backend, **options})
        for head, options in zip(heads, ({}, {"num_targets": 4}), strict=True)
    ]
    torch.stack(values).sum().backward()
    assert torch.equal(*values)
    for ours, plain in zip(*(head.grads(*LEAVES) for head in heads), strict=True):
        assert torch.equal(ours, plain)
