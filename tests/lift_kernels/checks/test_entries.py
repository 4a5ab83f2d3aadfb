"""Values are read where that is free, and nowhere else."""

from __future__ import annotations

import math

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

import lift_kernels
from lift_kernels import checks
from tests.lift_kernels.op_calls import CALLS, OPS, B, L, call

NAN = {
    "linear_cross_entropy": {"token_weight": torch.full((B, L), math.nan)},
    "lift_cross_entropy": {"timestep": torch.full((B,), math.nan), "row_weight": torch.full((B,), math.nan)},
    "select_tokens": {"score": torch.full((B, L), math.nan)},
    "corrupt_tokens": {"mask_prob": torch.full((B,), math.nan)},
}


def moved(name, move):
    return {key: move(value) if isinstance(value, torch.Tensor) else value for key, value in CALLS[name]().items()}


def flat(result):
    if isinstance(result, torch.Tensor):
        return [result]
    return [tensor for part in result for tensor in flat(part)]


def one_argument(name, argument):
    """The op as a function of this argument alone."""
    function, others = getattr(lift_kernels, name), CALLS[name]()
    del others[argument]
    return lambda value: function(**others, **{argument: value})


@pytest.mark.parametrize("name", OPS)
def test_meta_and_fake_tensors_give_shapes(name):
    expected = [(tensor.shape, tensor.dtype) for tensor in flat(call(name))]
    on_meta = flat(call(name, **moved(name, lambda tensor: tensor.to("meta"))))
    assert all(tensor.is_meta for tensor in on_meta)
    assert [(tensor.shape, tensor.dtype) for tensor in on_meta] == expected
    with FakeTensorMode() as mode:
        fake = flat(call(name, **moved(name, mode.from_tensor)))
    assert [(tensor.shape, tensor.dtype) for tensor in fake] == expected


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_meta_tensors_have_gradients(reduction):
    arguments = moved("linear_cross_entropy", lambda tensor: tensor.to("meta"))
    leaves = [arguments[leaf].requires_grad_() for leaf in ("hidden_states", "weight", "bias")]
    loss, _ = call("linear_cross_entropy", **arguments | {"reduction": reduction, "denominator": None})
    loss.sum().backward()
    assert all(leaf.grad.shape == leaf.shape for leaf in leaves)


def test_a_seed_is_not_needed_on_meta():
    for name in ("select_tokens", "lift_cross_entropy"):
        call(name, **moved(name, lambda tensor: tensor.to("meta")) | {"seed": None})


@pytest.mark.parametrize("name", NAN)
def test_compiled_code_reads_no_values_of_arguments(name):
    """They would break its graph. Eager code reads them."""
    for argument, value in NAN[name].items():
        with pytest.raises(ValueError, match=rf"^{name}: {argument}\[0"):
            call(name, **{argument: value})

        torch.compile(one_argument(name, argument), backend="aot_eager", fullgraph=True)(value)


@pytest.mark.parametrize("name", NAN)
def test_a_tracer_sees_no_reading(name):
    for argument, value in NAN[name].items():
        code = make_fx(one_argument(name, argument))(value).code
        assert "lift_kernels" in code and "isnan" not in code and "isfinite" not in code


def test_an_accelerator_is_not_read(monkeypatch):
    class Elsewhere(torch.Tensor):
        device = torch.device("cuda")

    assert checks.is_on_host(torch.ones(2)) and checks.is_on_host(torch.nn.Parameter(torch.ones(2)))
    assert not checks.is_on_host(torch.ones(2), torch.ones(2, device="meta"))
    checks.check_finite("op", "name", torch.full((2,), math.nan).as_subclass(Elsewhere))
    checks.check_finite("op", "name", torch.full((2,), math.nan, device="meta"))


def test_the_first_wrong_entry_is_named():
    with pytest.raises(ValueError, match=r"^op: name\[1, 0\] must be finite, got inf\.$"):
        checks.check_finite("op", "name", torch.tensor([[0.0, 1.0], [math.inf, math.nan]]))
