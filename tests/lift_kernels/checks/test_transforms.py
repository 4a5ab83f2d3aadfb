"""What differentiates by another way than a backward pass is refused; what only batches works."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import forward_ad

from tests.lift_kernels.op_calls import CALLS, B, D, L, call

# What torch itself loads for forward mode; until it does without torch.jit.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
HEAD_OPS = ("linear_cross_entropy", "lift_cross_entropy", "linear_token_stats")
REFUSAL = r"^{}: torch.func.grad, vjp, jvp and forward-mode AD are not supported. Use loss.backward\(\)"

STATES = torch.arange(B * L * D).view(B, L, D).cos()


def first_output(name, argument="hidden_states"):
    def compute(value):
        result = call(name, **{argument: value})
        return result[0].sum() if isinstance(result, tuple) else result

    return compute


def dual(function, value):
    with forward_ad.dual_level():
        return function(forward_ad.make_dual(value, torch.ones_like(value)))


TRANSFORMS = {
    "jvp": lambda f, x: torch.func.jvp(f, (x,), (torch.ones_like(x),)),
    "jacfwd": lambda f, x: torch.func.jacfwd(f)(x),
    "grad": lambda f, x: torch.func.grad(f)(x),
    "vjp": lambda f, x: torch.func.vjp(f, x),
    "per-sample": lambda f, x: torch.vmap(torch.func.grad(f))(x[None]),
    "batched": lambda f, x: torch.func.grad(lambda y: torch.vmap(f)(y).sum())(x[None]),
    "jvp-of-batched": lambda f, x: torch.func.jvp(torch.vmap(f), (x[None],), (x[None],)),
    "hvp": lambda f, x: torch.func.jvp(torch.func.grad(f), (x,), (x,)),
    "dual": dual,
}


@pytest.mark.parametrize("name", HEAD_OPS)
@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
def test_a_derivative_that_no_backward_pass_gives_is_refused(name, transform):
    for argument in ("hidden_states", "weight", "bias"):
        value = CALLS[name]()[argument]
        with pytest.raises(RuntimeError, match=REFUSAL.format(name)):
            transform(first_output(name, argument), value)


@pytest.mark.parametrize(
    ("name", "argument", "value"),
    [
        ("linear_cross_entropy", "token_weight", torch.ones(B, L)),
        ("linear_cross_entropy", "denominator", torch.tensor(2.0)),
        ("lift_cross_entropy", "timestep", torch.full((B,), 0.5)),
        ("lift_cross_entropy", "row_weight", torch.ones(B)),
        ("lift_cross_entropy", "denominator", torch.tensor(2.0)),
    ],
)
def test_what_counts_as_a_constant_is_refused_too(name, argument, value):
    with pytest.raises(RuntimeError, match=REFUSAL.format(name)):
        dual(first_output(name, argument), value)
    with pytest.raises((RuntimeError, ValueError), match=f"{REFUSAL.format(name)}|{argument} must be a constant"):
        torch.func.grad(first_output(name, argument))(value)


def test_compiled_code_is_refused_too():
    function = first_output("linear_cross_entropy")

    def tangent(x):
        return torch.func.jvp(function, (x,), (torch.ones_like(x),))

    with pytest.raises(Exception, match="forward-mode AD are not supported"):
        torch.compile(tangent, backend="aot_eager", fullgraph=True)(STATES)


@pytest.mark.parametrize("name", HEAD_OPS)
def test_what_is_not_differentiated_may_stand_inside(name):
    def compute(x):
        return (x**2).sum() * first_output(name)(x.detach())

    gradient = torch.func.grad(compute)(STATES)
    torch.testing.assert_close(gradient, 2 * STATES * first_output(name)(STATES))


@pytest.mark.parametrize("name", HEAD_OPS)
def test_vmap_is_a_loop(name):
    many = torch.stack([STATES, 2 * STATES])
    ours = torch.vmap(first_output(name))(many)
    torch.testing.assert_close(ours, torch.stack([first_output(name)(states) for states in many]))


@pytest.mark.parametrize("name", HEAD_OPS)
@pytest.mark.parametrize("argument", ["hidden_states", "weight", "bias"])
def test_a_backward_pass_through_vmap_is_that_of_a_loop(name, argument):
    options = {"differentiable": True} if name == "linear_token_stats" else {}
    values = torch.stack([CALLS[name]()[argument], CALLS[name]()[argument].sin()])
    ours, loop = values.clone().requires_grad_(), values.clone().requires_grad_()

    def compute(value):
        result = call(name, **{argument: value}, **options)
        return result[0].sum() if isinstance(result, tuple) else result

    torch.vmap(compute)(ours).dot(torch.tensor([1.0, 3.0])).backward()
    torch.stack([compute(value) for value in loop]).dot(torch.tensor([1.0, 3.0])).backward()
    assert loop.grad.abs().sum() > 0
    torch.testing.assert_close(ours.grad, loop.grad)


def test_the_choices_of_tokens_may_stand_inside_any_transform():
    """They are whole numbers: their derivative is zero."""

    def loss(score):
        return (score * call("select_tokens", score=score)).sum()

    kept = call("select_tokens").float()
    score = CALLS["select_tokens"]()["score"]
    assert torch.equal(torch.func.grad(loss)(score), kept)
    assert torch.equal(torch.func.jvp(loss, (score,), (torch.ones_like(score),))[1], kept.sum())
    mask_prob = CALLS["corrupt_tokens"]()["mask_prob"]
    count = call("corrupt_tokens").is_masked.sum()
    tangent = torch.func.jvp(
        lambda p: call("corrupt_tokens", mask_prob=p).is_masked.sum() * p.sum(), (mask_prob,), (torch.ones(B),)
    )[1]
    assert torch.equal(tangent, count * torch.tensor(B))
