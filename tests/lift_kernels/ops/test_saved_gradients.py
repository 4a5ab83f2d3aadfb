"""Gradients formed in the forward pass: kept, deferred, scaled, and given away in the last backward pass."""

from __future__ import annotations

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from lift_kernels import lift_cross_entropy, linear_cross_entropy
from lift_kernels.fallback import linear_cross_entropy as backend
from lift_kernels.linear_head import Gradients, gradient_dtype
from lift_kernels.ops.saved_gradients import scaled
from lift_kernels.testing import DTYPES, Head

LEAVES = ("hidden_states", "weight", "bias")


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("factor", [1.0, 1 / 3, 65536.0])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_gradients_are_scaled_in_float32_and_rounded_once(dtype, factor, overwrite):
    wide = torch.promote_types(dtype, torch.float32)
    gradient = torch.randn(7, 8).to(gradient_dtype(dtype))
    kept, factor = gradient.clone(), torch.tensor(factor, dtype=wide)
    ours = scaled(gradient, factor, dtype, overwrite=overwrite)
    assert ours.dtype == dtype and torch.equal(ours, (kept.to(wide) * factor).to(dtype))
    if overwrite:  # the memory of the gradient, where it is of the dtype asked for
        assert (ours.data_ptr() == gradient.data_ptr()) == (gradient.dtype == dtype)
    else:
        assert torch.equal(gradient, kept) and ours.data_ptr() != gradient.data_ptr()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
def test_the_way_of_accelerators_rounds_alike(dtype, monkeypatch):
    gradient, factor = torch.randn(7, 8).to(dtype), torch.tensor(1 / 3)
    expected = scaled(gradient, factor, dtype)

    class Elsewhere:
        type = "elsewhere"

    monkeypatch.setattr(torch.Tensor, "device", Elsewhere(), raising=False)
    ours = scaled(gradient, factor, dtype), scaled(gradient, factor, dtype, overwrite=True)
    monkeypatch.undo()
    assert all(torch.equal(tensor, expected) for tensor in ours)
    assert ours[0].data_ptr() != gradient.data_ptr() == ours[1].data_ptr()


class Recorder:
    """Takes the place of the backend's gradients, deferring the head's or not, and remembers what was asked."""

    def __init__(self, monkeypatch, defers):
        self.asked, self.formed = [], None
        real, real_head = backend.loss_gradients, backend.head_gradients

        def loss_gradients(*args, may_defer=False, **options):
            backend.head_gradients = real_head  # the backend may form its own by it
            stats, weights, gradients = real(*args, **options)
            backend.head_gradients = head_gradients
            self.formed = [None if gradient is None else gradient.data_ptr() for gradient in gradients[:3]]
            if not (may_defer and defers):
                return stats, weights, gradients
            rest = [gradient for gradient in gradients[1:3] if gradient is not None]
            return stats, weights, Gradients(gradients.hidden_states, deferred=(args[0], *rest))

        def head_gradients(deferred, grad_loss, needs_grad):
            self.asked.append(needs_grad)
            _, *rest = deferred
            found = iter(scaled(gradient, grad_loss, gradient.dtype) for gradient in rest)
            weight = next(found) if self.formed[1] is not None else None
            bias = next(found) if self.formed[2] is not None else None
            return weight if needs_grad.weight else None, bias if needs_grad.bias else None

        monkeypatch.setattr(backend, "loss_gradients", loss_gradients)
        monkeypatch.setattr(backend, "head_gradients", head_gradients)


def loss_of(op, head):
    if op == "lift":
        n = head.targets.shape[0]
        states, labels = head.hidden_states.view(2, n // 2, -1), head.targets.view(2, n // 2)
        row = torch.tensor([1, 2]), torch.tensor([1, -1])
        return lift_cross_entropy(states, head.weight, labels, torch.tensor([0.3, 0.8]), *row, bias=head.bias)
    return linear_cross_entropy(head.hidden_states, head.weight, head.targets, bias=head.bias, reduction="sum")


@pytest.mark.parametrize("op", ["linear", "lift"])
@pytest.mark.parametrize(
    "names", [LEAVES, ("weight",), ("bias",), ("hidden_states", "weight"), ("hidden_states",)], ids="+".join
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_deferred_gradients_are_those_that_are_not(op, names, dtype, monkeypatch):
    results = []
    for defers in (False, True):
        with monkeypatch.context() as patch:
            recorder = Recorder(patch, defers)
            head = Head.random(12, 8, 40, dtype).trainable(*names)
            loss = loss_of(op, head)
            (loss * 3).backward()
            results.append((loss.detach(), *head.grads(*names)))
            assert len(recorder.asked) == (defers and names != ("hidden_states",))
    assert all(map(torch.equal, *results)) and all(grad.dtype == dtype for grad in results[0][1:])


@pytest.mark.parametrize("op", ["linear", "lift"])
@pytest.mark.parametrize("defers", [False, True])
def test_a_second_backward_pass_gives_the_same_bits(op, defers, monkeypatch):
    Recorder(monkeypatch, defers)
    head = Head.random(12, 8, 40, torch.bfloat16).trainable(*LEAVES)
    loss, seen = loss_of(op, head) * 3, []
    for is_last in (False, False, True):
        gradients = torch.autograd.grad(loss, [getattr(head, name) for name in LEAVES], retain_graph=not is_last)
        seen.append([gradient.clone() for gradient in gradients])
        for gradient in gradients:
            gradient.zero_()  # in place, as clipping does: what is given out is nobody else's
    assert all(map(torch.equal, seen[0], seen[1])) and all(map(torch.equal, seen[0], seen[2])) and seen[0][1].any()
    with pytest.raises(RuntimeError, match="a second time"):
        torch.autograd.grad(loss, head.weight)


@pytest.mark.parametrize("ignored", [0, 0.5])
def test_the_last_backward_pass_hands_its_gradients_over(ignored, monkeypatch):
    """No second copy of a head's gradient is made, and where all rows take part none of the hidden states'."""
    recorder = Recorder(monkeypatch, defers=False)
    for factor in (1, 3):
        head = Head.random(12, 8, 40, ignored=ignored).trainable(*LEAVES)
        (loss_of("linear", head) * factor).backward()
        handed = [grad.data_ptr() == formed for grad, formed in zip(head.grads(*LEAVES), recorder.formed, strict=True)]
        assert handed == [ignored == 0, True, True]


def test_deferral_works_under_activation_checkpointing(monkeypatch):
    Recorder(monkeypatch, defers=True)
    plain, saved = (Head.random(12, 8, 40).trainable(*LEAVES) for _ in range(2))
    loss_of("linear", plain).backward()
    checkpoint(lambda *_: loss_of("linear", saved), saved.hidden_states, use_reentrant=False).backward()
    assert all(map(torch.equal, plain.grads(*LEAVES), saved.grads(*LEAVES)))


def test_what_compiles_defers_nothing(monkeypatch):
    recorder = Recorder(monkeypatch, defers=True)
    head, eager = (Head.random(12, 8, 40).trainable(*LEAVES) for _ in range(2))
    torch.compile(lambda: loss_of("linear", head), fullgraph=True, backend="aot_eager")().backward()
    assert not recorder.asked
    loss_of("linear", eager).backward()
    assert recorder.asked and all(map(torch.equal, head.grads(*LEAVES), eager.grads(*LEAVES)))


def test_double_backward_is_refused_with_deferral_too(monkeypatch):
    Recorder(monkeypatch, defers=True)
    head = Head.random(12, 8, 40).trainable(*LEAVES)
    with pytest.raises(RuntimeError, match="linear_cross_entropy: double backward is not supported"):
        torch.autograd.grad(loss_of("linear", head), head.weight, create_graph=True)
