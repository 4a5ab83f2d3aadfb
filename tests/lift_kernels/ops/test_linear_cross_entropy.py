from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from lift_kernels import LinearCrossEntropyLoss, linear_cross_entropy, linear_token_stats, reference
from lift_kernels.fallback.tiles import plan_tiles
from lift_kernels.testing import DTYPES, Head, assert_gradient_close, assert_nats_close
from tests.lift_kernels.ops.head_cases import DEFAULT, OPTIONS, SHAPES, SMALL

LEAVES = ("hidden_states", "weight", "bias")


def run(head: Head, function, names, grad=None, **options) -> tuple[torch.Tensor, list[torch.Tensor]]:
    head = head.trainable(*names)
    loss = function(
        head.hidden_states, head.weight, head.targets, token_weight=head.token_weight, bias=head.bias, **options
    )
    loss.backward(grad)
    return loss.detach(), head.grads(*names)


@pytest.mark.parametrize("workspace_bytes", [SMALL, DEFAULT], ids=["many-tiles", "one-tile"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("names", [("hidden_states",), ("weight", "bias"), ("bias",), LEAVES], ids="+".join)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_loss_and_gradients_match_float64_truth(dtype, shape, names, options, workspace_bytes):
    head = Head.random(*shape, dtype)
    reductions = {"none": torch.randn(shape[0]), "sum": None, "mean": None}
    for reduction, grad in reductions.items():
        wide = None if grad is None else grad.double()
        loss, grads = run(
            head, linear_cross_entropy, names, None if grad is None else grad.to(loss_dtype(dtype)),
            reduction=reduction, workspace_bytes=workspace_bytes, **options,
        )  # fmt: skip
        truth, true_grads = run(
            head.double(), reference.linear_cross_entropy, names, wide, reduction=reduction, **options
        )
        _, plain_grads = run(head, reference.linear_cross_entropy, names, grad, reduction=reduction, **options)
        assert loss.dtype == loss_dtype(dtype)
        assert_nats_close(ours=loss, truth=truth)
        for ours, true, plain in zip(grads, true_grads, plain_grads, strict=True):
            assert ours.dtype == dtype
            assert_gradient_close(ours=ours, truth=true, baseline=plain)


def loss_dtype(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("softcap", [None, 1.5])
@pytest.mark.parametrize("workspace_bytes", [SMALL, DEFAULT])
def test_gradcheck_in_float64(reduction, softcap, workspace_bytes):
    head = Head.random(7, 5, 300, torch.float64).trainable(*LEAVES)
    weight = head.token_weight.double()

    def loss(*leaves):
        return linear_cross_entropy(
            *leaves[:2], head.targets, bias=leaves[2], token_weight=weight, reduction=reduction, logit_softcap=softcap,
            workspace_bytes=workspace_bytes,
        )  # fmt: skip

    for wanted in ((0,), (0, 1, 2)):  # a frozen and a trained head take different ways
        leaves = [
            leaf.detach().requires_grad_(i in wanted)
            for i, leaf in enumerate((head.hidden_states, head.weight, head.bias))
        ]
        assert torch.autograd.gradcheck(loss, leaves, fast_mode=True)


def test_the_tilings_under_test_are_different():
    head = Head.random(130, 64, 1100)
    small, default = (plan_tiles(head.hidden_states, head.weight, size) for size in (SMALL, DEFAULT))
    assert not small.keeps_exponentials and len(list(small.row_blocks())) > 1 and len(list(small.column_blocks())) > 1
    assert default.keeps_exponentials


def test_accuracy_rules_reject_a_broken_loss():
    head = Head.random(64, 32, 2048, torch.bfloat16)
    options = {"reduction": "none", "token_weight": None}
    truth = reference.linear_cross_entropy(*wide_inputs(head), **options)
    last_column_lost = reference.linear_cross_entropy(
        head.hidden_states.double(), head.weight[:-1].double(), head.targets.clamp(max=2046), bias=head.bias[:-1].double(),
        **options,
    )  # fmt: skip
    swapped = torch.cat([head.targets[1:2], head.targets[:1], head.targets[2:]])
    targets_swapped = reference.linear_cross_entropy(*wide_inputs(replace(head, targets=swapped)), **options)
    assert_nats_close(ours=truth.float(), truth=truth)
    for broken in (last_column_lost, targets_swapped, truth * 1.001, truth + float("nan")):
        with pytest.raises(AssertionError):
            assert_nats_close(ours=broken, truth=truth)


def test_accuracy_rules_reject_a_broken_gradient():
    head = Head.random(64, 32, 512, torch.bfloat16)
    _, truth = run(head.double(), reference.linear_cross_entropy, LEAVES, reduction="sum")
    _, plain = run(head, reference.linear_cross_entropy, LEAVES, reduction="sum")
    doubled = replace(head, token_weight=head.token_weight * torch.linspace(1, 1.05, 64))
    _, weighted = run(doubled, reference.linear_cross_entropy, LEAVES, reduction="sum")
    for true, plain_grad, broken in zip(truth, plain, weighted, strict=True):
        assert_gradient_close(ours=plain_grad, truth=true, baseline=plain_grad)
        for wrong in (broken, plain_grad * 0, plain_grad.roll(1, 0), -plain_grad):
            with pytest.raises(AssertionError):
                assert_gradient_close(ours=wrong, truth=true, baseline=plain_grad)


def wide_inputs(head: Head):
    head = head.double()
    return head.hidden_states, head.weight, head.targets


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_without_weights_it_is_torch_cross_entropy(reduction):
    head = Head.random(40, 16, 100, torch.float64)
    logits = F.linear(head.hidden_states, head.weight, head.bias)
    ours = linear_cross_entropy(head.hidden_states, head.weight, head.targets, bias=head.bias, reduction=reduction)
    torch.testing.assert_close(ours, F.cross_entropy(logits, head.targets, reduction=reduction))


def test_denominator_replaces_the_count():
    head = Head.random(40, 16, 100, torch.float64)
    inputs = (head.hidden_states, head.weight, head.targets)
    total = linear_cross_entropy(*inputs, token_weight=head.token_weight, reduction="sum")
    for denominator in (12.5, torch.tensor(12.5)):
        mean = linear_cross_entropy(*inputs, token_weight=head.token_weight, denominator=denominator)
        torch.testing.assert_close(mean, total / 12.5)
    torch.testing.assert_close(
        linear_cross_entropy(*inputs, token_weight=head.token_weight), total / (head.targets != -100).sum()
    )


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("rows", [0, 6], ids=["no-rows", "all-ignored"])
def test_no_row_left_gives_a_connected_zero(rows, reduction):
    head = replace(Head.random(rows, 8, 50, torch.bfloat16), targets=torch.full((rows,), -100))
    loss, grads = run(
        head, linear_cross_entropy, LEAVES, torch.ones(rows) if reduction == "none" else None, reduction=reduction
    )
    assert torch.equal(loss, torch.zeros(rows if reduction == "none" else ()))
    for grad, leaf in zip(grads, LEAVES, strict=True):
        assert torch.equal(grad, torch.zeros_like(getattr(head, leaf)))


@pytest.mark.parametrize("how", ["ignored", "weight-0"])
@pytest.mark.parametrize("reduction", ["none", "sum"])
def test_dropped_rows_never_enter_a_product(how, reduction):
    """Their hidden states may hold anything, nan included, and the kept rows come out bit-equal to a call without them."""
    head = Head.random(24, 16, 600, ignored=0)
    keep = torch.arange(24) % 3 != 0
    small = Head(head.hidden_states[keep], head.weight, head.bias, head.targets[keep], head.token_weight[keep])
    hidden_states = head.hidden_states.masked_fill(~keep[:, None], float("nan"))
    if how == "ignored":
        dirty = replace(head, hidden_states=hidden_states, targets=head.targets.where(keep, -100))
    else:
        dirty = replace(head, hidden_states=hidden_states, token_weight=head.token_weight.where(keep, 0.0))
    grad = torch.ones(24) if reduction == "none" else None
    loss, grads = run(dirty, linear_cross_entropy, LEAVES, grad, reduction=reduction)
    small_loss, small_grads = run(
        small, linear_cross_entropy, LEAVES, None if grad is None else grad[keep], reduction=reduction
    )
    assert torch.equal(loss[keep] if reduction == "none" else loss, small_loss)
    assert torch.equal(grads[0][keep], small_grads[0]) and not grads[0][~keep].any()
    assert torch.equal(grads[1], small_grads[1]) and torch.equal(grads[2], small_grads[2])


def test_only_the_gradients_asked_for_are_computed(monkeypatch):
    from lift_kernels.fallback import linear_cross_entropy as fallback

    seen = []
    real = fallback.loss_gradients
    monkeypatch.setattr(fallback, "loss_gradients", lambda *a, **k: seen.append(a[4]) or real(*a, **k))
    head = Head.random(20, 8, 64)
    for count in range(1, 4):
        for names in itertools.combinations(LEAVES, count):
            run(head, linear_cross_entropy, names)
            wanted = seen.pop()
            assert {name for name in LEAVES if getattr(wanted, name)} == set(names)
    with torch.no_grad():
        frozen = head.trainable(*LEAVES)
        linear_cross_entropy(frozen.hidden_states, frozen.weight, frozen.targets)
    assert not any(seen.pop())


def test_a_sure_prediction_keeps_its_gradient_in_bfloat16():
    """Where p_gold rounds to 1 in bfloat16, p_gold - 1 must not: easy tokens are what LIFT trains at large t."""
    weight = torch.eye(8, dtype=torch.bfloat16)
    hidden_states = (9.5 * weight[:4]).clone()
    targets = torch.arange(4)
    probability = F.softmax(hidden_states.float() @ weight.float().T, -1)[0, 0]
    assert probability < 1 and probability.bfloat16() == 1
    for names in (("hidden_states",), ("hidden_states", "weight")):
        leaves = {"hidden_states": hidden_states.clone(), "weight": weight.clone()}
        for name in names:
            leaves[name].requires_grad_()
        linear_cross_entropy(*leaves.values(), targets, reduction="sum").backward()
        truth = (hidden_states.double(), weight.double())
        truth[0].requires_grad_()
        reference.linear_cross_entropy(*truth, targets, reduction="sum").backward()
        torch.testing.assert_close(leaves["hidden_states"].grad.double(), truth[0].grad, rtol=1e-2, atol=0)


@pytest.mark.parametrize("shift", [-200.0, 0.0, 80.0])
def test_rows_far_from_zero(shift):
    head = Head.random(20, 16, 1100)
    head = replace(head, bias=head.bias + shift)
    loss, _ = run(head, linear_cross_entropy, LEAVES, torch.ones(20), reduction="none", workspace_bytes=SMALL)
    truth, _ = run(head.double(), reference.linear_cross_entropy, LEAVES, torch.ones(20).double(), reduction="none")
    assert_nats_close(ours=loss, truth=truth, rtol=1e-5)


def test_a_vocabulary_entry_of_bias_minus_infinity_takes_no_part():
    head = Head.random(20, 16, 700, ignored=0)
    bias = head.bias.clone()
    bias[600:] = -torch.inf
    targets = head.targets % 600
    stats = linear_token_stats(head.hidden_states, head.weight, targets, bias=bias, workspace_bytes=SMALL)
    short = linear_token_stats(head.hidden_states, head.weight[:600], targets, bias=bias[:600])
    for ours, expected in zip(stats, short, strict=True):
        torch.testing.assert_close(ours, expected)
    hidden_states = head.hidden_states.clone().requires_grad_()
    linear_cross_entropy(hidden_states, head.weight, targets, bias=bias, workspace_bytes=SMALL).backward()
    assert hidden_states.grad.isfinite().all()


def test_retain_graph_gives_the_same_gradients_again_whatever_happens_to_grad():
    head = Head.random(20, 8, 64).trainable(*LEAVES)
    loss = linear_cross_entropy(head.hidden_states, head.weight, head.targets, bias=head.bias)
    seen = []
    for _ in range(4):
        loss.backward(retain_graph=True)
        seen.append([grad.clone() for grad in head.grads(*LEAVES)])
        for grad in head.grads(*LEAVES):
            grad.zero_()  # in place, as optimisers do
    assert all(torch.equal(a, b) for later in seen[1:] for a, b in zip(seen[0], later, strict=True))
    assert seen[0][1].any()


def test_a_transposed_head_gets_contiguous_gradients():
    embedding = torch.randn(8, 64)
    head = Head.random(20, 8, 64).trainable("hidden_states")
    weight = embedding.T.requires_grad_()
    linear_cross_entropy(head.hidden_states, weight, head.targets).backward()
    expected = embedding.T.contiguous().requires_grad_()
    linear_cross_entropy(head.hidden_states.detach(), expected, head.targets).backward()
    assert torch.equal(weight.grad, expected.grad)


@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_double_backward_is_refused(reduction):
    head = Head.random(20, 8, 64).trainable("hidden_states")
    loss = linear_cross_entropy(head.hidden_states, head.weight, head.targets, reduction=reduction).sum()
    with pytest.raises(RuntimeError, match="double backward is not supported"):
        torch.autograd.grad(loss, head.hidden_states, create_graph=True)


@pytest.mark.parametrize("workspace_bytes", [SMALL, DEFAULT])
def test_the_same_call_twice_gives_the_same_bits(workspace_bytes):
    head = Head.random(130, 64, 1100, torch.bfloat16)
    first, second = (run(head, linear_cross_entropy, LEAVES, workspace_bytes=workspace_bytes) for _ in range(2))
    assert torch.equal(first[0], second[0]) and all(map(torch.equal, first[1], second[1]))


def test_leading_dimensions_and_strides_do_not_matter():
    head = Head.random(24, 16, 90)
    flat = linear_cross_entropy(head.hidden_states, head.weight, head.targets, reduction="none")
    strided = torch.stack([head.hidden_states, head.hidden_states], -1)[..., 0].view(4, 6, 16)
    transposed = head.weight.T.contiguous().T
    shaped = linear_cross_entropy(strided, transposed, head.targets.view(4, 6), reduction="none")
    torch.testing.assert_close(shaped, flat.view(4, 6))


def test_statistics_come_with_the_loss():
    head = Head.random(30, 16, 700)
    inputs = (head.hidden_states.requires_grad_(), head.weight, head.targets)
    expected = linear_token_stats(*inputs, bias=head.bias)
    for reduction in ("none", "sum", "mean"):
        loss, stats = linear_cross_entropy(*inputs, bias=head.bias, reduction=reduction, return_stats=True)
        plain = linear_cross_entropy(*inputs, bias=head.bias, reduction=reduction)
        torch.testing.assert_close(loss, plain)
        for ours, true in zip(stats, expected, strict=True):
            assert not ours.requires_grad
            torch.testing.assert_close(ours, true)


def test_autocast_casts_as_linear_does():
    head = Head.random(30, 16, 200).trainable(*LEAVES)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = linear_cross_entropy(head.hidden_states, head.weight, head.targets, bias=head.bias)
    loss.backward()
    rounded = Head(*(getattr(head, name).detach().bfloat16() for name in LEAVES), head.targets, head.token_weight)
    expected, grads = run(replace(rounded, token_weight=torch.ones(30)), linear_cross_entropy, LEAVES)
    assert torch.equal(loss.detach(), expected)
    for ours, true in zip(head.grads(*LEAVES), grads, strict=True):
        assert ours.dtype == torch.float32 and torch.equal(ours, true.float())


def test_compile_fullgraph_matches_eager():
    head = Head.random(30, 16, 200).trainable(*LEAVES)

    def step(hidden_states, weight, bias):
        loss, stats = linear_cross_entropy(
            hidden_states, weight, head.targets, bias=bias, token_weight=head.token_weight, return_stats=True
        )
        return loss * 3 + stats.entropy.mean()

    leaves = (head.hidden_states, head.weight, head.bias)
    eager = torch.autograd.grad(step(*leaves), leaves)
    compiled = torch.compile(step, fullgraph=True, backend="aot_eager")
    for ours, true in zip(torch.autograd.grad(compiled(*leaves), leaves), eager, strict=True):
        torch.testing.assert_close(ours, true)


def test_module_form_is_the_function():
    head = Head.random(30, 16, 200)
    criterion = LinearCrossEntropyLoss(reduction="sum", logit_softcap=3.0)
    ours = criterion(head.hidden_states, head.weight, head.targets, token_weight=head.token_weight, bias=head.bias)
    expected = linear_cross_entropy(
        head.hidden_states, head.weight, head.targets, token_weight=head.token_weight, bias=head.bias, reduction="sum",
        logit_softcap=3.0,
    )  # fmt: skip
    assert torch.equal(ours, expected)
    assert "reduction='sum'" in repr(criterion)


def call(**changes):
    head = Head.random(6, 8, 20)
    arguments = {"hidden_states": head.hidden_states, "weight": head.weight, "targets": head.targets} | changes
    return linear_cross_entropy(
        arguments.pop("hidden_states"), arguments.pop("weight"), arguments.pop("targets"), **arguments
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weight": torch.ones(20, 7)}, r"weight must have shape \(V, D\) with D = 8 to match hidden_states \(6, 8\), got \(20, 7\)"),
        ({"weight": torch.ones(20, 8).half()}, "weight must have the dtype of hidden_states, float32, got float16"),
        ({"weight": torch.ones(0, 8)}, "weight must not be empty"),
        ({"hidden_states": torch.ones(6, 8, dtype=torch.int64)}, "hidden_states must be float32 or"),
        ({"targets": torch.zeros(5, dtype=torch.int64)}, r"targets must have shape \(6,\)"),
        ({"targets": torch.zeros(6, dtype=torch.int32)}, "targets must be int64, got int32"),
        ({"targets": torch.full((6,), 20)}, r"targets must lie in \[0, 20\) or equal ignore_index, got values from 20 to 20"),
        ({"targets": torch.full((6,), -1)}, r"targets must lie in \[0, 20\)"),
        ({"bias": torch.ones(19)}, r"bias must have shape \(20,\)"),
        ({"bias": torch.ones(20, device="meta")}, "bias must be on cpu like hidden_states, got meta"),
        ({"token_weight": torch.ones(5)}, r"token_weight must have shape \(6,\) to match targets"),
        ({"token_weight": torch.ones(6, requires_grad=True)}, "token_weight must be a constant"),
        ({"token_weight": torch.ones(6, dtype=torch.int64)}, "token_weight must be float32 or"),
        ({"reduction": "avg"}, "reduction must be one of 'mean', 'sum', 'none', got 'avg'"),
        ({"reduction": "sum", "denominator": 3.0}, "denominator belongs to reduction='mean'"),
        ({"denominator": 0.0}, "denominator must be positive and finite, got 0.0"),
        ({"denominator": torch.ones(2)}, r"denominator must have shape \(\)"),
        ({"logit_softcap": -1.0}, "logit_softcap must be positive and finite, got -1.0"),
        ({"num_targets": 1}, "num_targets must be the number of targets that are not ignored, 6, got 1"),
        ({"workspace_bytes": 10}, "workspace_bytes must be at least"),
        ({"backend": "cuda"}, "backend must be one of 'auto', 'triton', 'torch'"),
    ],
)  # fmt: skip
def test_bad_input_is_named(changes, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call(**changes)


def test_asking_for_triton_says_why_it_cannot_run(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(RuntimeError, match=r"backend='triton' cannot run on cpu: .* Use backend='auto' or 'torch'"):
        call(backend="triton")
