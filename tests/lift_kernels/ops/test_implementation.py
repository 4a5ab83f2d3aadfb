"""Which module computes an op."""

from __future__ import annotations

import inspect

import pytest
import torch

from lift_kernels.linear_head import HeadBackend
from lift_kernels.ops.implementation import (
    CorruptionBackend,
    SelectionBackend,
    corruption_backend,
    head_backend,
    selection_backend,
)

CHOICES = {
    "head": (lambda name, device: head_backend("op", name, torch.ones(1, device=device)), HeadBackend),
    "corruption": (lambda name, device: corruption_backend("op", name, device), CorruptionBackend),
    "selection": (lambda name, device: selection_backend("op", name, device), SelectionBackend),
}


@pytest.mark.parametrize(("name", "folder"), [("torch", "fallback"), ("triton", "kernels")])
@pytest.mark.parametrize("kind", CHOICES)
def test_each_backend_has_the_functions_of_its_contract(kind, name, folder, kernel_device):
    choose, contract = CHOICES[kind]
    module = choose(name, kernel_device)
    assert module.__name__.split(".")[1] == folder
    promised = {key: value for key, value in vars(contract).items() if inspect.isfunction(value) and key[0] != "_"}
    assert promised
    for key, function in promised.items():
        names = list(inspect.signature(function).parameters)[1:]
        assert list(inspect.signature(getattr(module, key)).parameters) == names


def test_float64_is_for_torch():
    assert "fallback" in head_backend("op", "auto", torch.ones(1, dtype=torch.float64)).__name__
    with pytest.raises(RuntimeError, match=r"op: backend='triton' cannot run on cpu: .*the inputs are float64"):
        head_backend("op", "triton", torch.ones(1, dtype=torch.float64))
