"""Running a model up to its head."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from lift_kernels.models.backbone import run_backbone
from lift_kernels.models.families import ModelFamily


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.norm, self.head = nn.Embedding(9, 4), nn.LayerNorm(4), nn.Linear(4, 9)
        self.backbone = Backbone(self.embed, self.norm)

    def forward(self, input_ids: torch.Tensor, scale: float = 1.0) -> SimpleNamespace:
        return SimpleNamespace(logits=self.head(self.norm(scale * self.embed(input_ids))))


class Backbone(nn.Module):
    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, input_ids: torch.Tensor, scale: float = 1.0) -> tuple[torch.Tensor, str]:
        return self.layers[1](scale * self.layers[0](input_ids)), "the rest"


@pytest.mark.parametrize(
    "place",
    [{"backbone": lambda model: model.backbone}, {"last_norm": lambda model: model.norm}],
    ids=["backbone", "norm"],
)
def test_the_states_are_what_the_head_takes_and_make_no_logits(place):
    model, ids, rows = Model(), torch.randint(9, (2, 3)), []
    model.head.register_forward_pre_hook(lambda _, args: rows.append(args[0].shape[1]))
    family = ModelFamily(head=lambda model: model.head, **place)
    states = run_backbone(family, model, model.forward, (ids,), {"scale": 2.0})
    assert not any(rows)  # not called, or with no position
    torch.testing.assert_close(model.head(states), model(ids, scale=2.0).logits)
    assert not model.norm._forward_hooks


def test_a_forward_that_fails_leaves_no_hook():
    model = Model()
    family = ModelFamily(head=lambda model: model.head, last_norm=lambda model: model.norm)
    with pytest.raises(TypeError):
        run_backbone(family, model, model.forward, (), {"nothing": 1})
    assert not model.norm._forward_hooks
