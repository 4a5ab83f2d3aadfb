"""Evaluation mode inside the block, and each module as it was after it."""

from __future__ import annotations

import pytest
from torch import nn

from lift.models.evaluation_mode import evaluation_mode


def modes(model: nn.Module) -> list[bool]:
    return [module.training for module in model.modules()]


def test_every_module_is_in_evaluation_mode_and_gets_its_own_mode_back():
    model = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Dropout(), nn.Linear(2, 2)), nn.Linear(2, 2))
    model[1].eval()  # frozen in this mode
    before = modes(model)
    assert True in before and False in before
    with evaluation_mode(model):
        assert not any(modes(model))
    assert modes(model) == before


def test_an_error_restores_the_modes_too():
    model = nn.Sequential(nn.Dropout())
    with pytest.raises(ZeroDivisionError), evaluation_mode(model):
        1 / 0  # noqa: B018
    assert all(modes(model))
