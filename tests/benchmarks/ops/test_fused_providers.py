from __future__ import annotations

import sys
import types

import pytest
import torch
from torch.nn import functional as F

from benchmarks.ops import fused_providers
from benchmarks.ops.cases import CASES
from tests.benchmarks.support import HERE, ON_GPU

CASE = CASES["smoke-sequence-trained"]


def loss_of(hidden_states, weight, targets):
    return F.cross_entropy(F.linear(hidden_states, weight).float(), targets)


@pytest.fixture
def rivals(monkeypatch):
    """Packages that compute the loss by its logits, under the names and signatures of the rivals."""
    options = []

    def function(*inputs, **given):
        options.append(given)
        return loss_of(*inputs)

    fused = "liger_kernel.transformers.fused_linear_cross_entropy"
    for name, content in {
        fused: {
            "LigerFusedLinearCrossEntropyLoss": lambda: (
                lambda weight, hidden, targets: function(hidden, weight, targets)
            )
        },
        "cut_cross_entropy": {"linear_cross_entropy": function},
        "quack.linear_cross_entropy": {"chunked_linear_cross_entropy": function},
        "quack": {},
    }.items():
        module = types.ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    return options


@pytest.mark.parametrize("name", ["liger", "cut_cross_entropy", "quack"])
def test_each_rival_gets_its_arguments_in_its_order(rivals, name):
    inputs = CASE.inputs()
    loss = getattr(fused_providers, name)(CASE, inputs, HERE)()
    torch.testing.assert_close(loss, loss_of(*inputs).detach())
    assert inputs[0].grad.any() and inputs[1].grad.any()


def test_cut_cross_entropy_runs_its_kernels_on_a_gpu(rivals):
    for config in (HERE, ON_GPU):
        fused_providers.cut_cross_entropy(CASE, CASE.inputs(), config)()
    assert rivals == [{"impl": "torch_compile"}, {}]


@pytest.mark.skipif(not hasattr(F, "linear_cross_entropy"), reason="torch has it since 2.13")
@pytest.mark.parametrize("name", ["torch_fused", "torch_fused_chunked"])
def test_the_function_of_torch_runs(name):
    inputs = CASE.inputs()
    loss = getattr(fused_providers, name)(CASE, inputs, HERE)()
    torch.testing.assert_close(loss.float(), loss_of(*inputs).detach(), atol=5e-2, rtol=0)
    assert inputs[0].grad.any() and inputs[1].grad.any()


def test_what_is_missing_says_why(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "quack" else object())
    assert fused_providers.missing_on_gpu("quack", ON_GPU) == "not installed"
    assert fused_providers.missing_on_gpu("liger_kernel", HERE) == "needs a GPU"
    assert fused_providers.missing_on_gpu("liger_kernel", ON_GPU) is None
    assert fused_providers.missing_cut_cross_entropy(HERE) is None
    monkeypatch.delattr(F, "linear_cross_entropy", raising=False)
    assert fused_providers.missing_torch_fused(ON_GPU) == "needs torch >= 2.13"
