"""`check_model_family` passes what is right, and names what is wrong, on a model with every switch."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from lift_kernels import apply_lift_kernels, register_model_family
from lift_kernels.models import families, patch
from lift_kernels.testing import check_model_family
from tests.lift_kernels.testing.small_model import RIGHT, TYPE, D, Functional, Silent, SmallModel, V


@pytest.fixture(autouse=True)
def _own_families(monkeypatch):
    monkeypatch.setattr(families, "_FAMILIES", dict(families._FAMILIES))


def register(**changes) -> None:
    register_model_family(TYPE, **(RIGHT | changes))


def unbiased(model: nn.Module) -> nn.Module:
    """A head that shares the weight and forgets the bias."""
    head = nn.Linear(D, V, bias=False)
    head.weight = model.lm_head.weight
    return head


class Early(nn.Module):
    """Hidden states before the layer that the model goes on with."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.embed = model.body.embed

    def forward(self, input_ids, attention_mask=None):
        return (self.embed(input_ids),)


RIGHT_ONES = {
    "plain": ({}, {}),
    "scaled": ({"scale": 0.25}, {"logit_scale": lambda model: model.scale}),
    "softcapped": ({"softcap": 0.5}, {"logit_softcap": lambda model: model.softcap}),
    "next token": ({"shifts": True}, {"predicts_next": True}),
    "tied": ({"tied": True}, {}),
    "ignored mask": ({"mask": "ignored"}, {"attention_mask": "ignored"}),
    "added pairs": ({"mask": "added_pairs"}, {"attention_mask": "added_pairs"}),
    "bool pairs": ({"mask": "bool_pairs"}, {"attention_mask": "bool_pairs"}),
    "last norm": ({}, {"backbone": None, "last_norm": lambda model: model.body.layer}),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", RIGHT_ONES)
def test_what_is_registered_rightly_passes(name, dtype):
    model, family = RIGHT_ONES[name]
    register(**family)
    check_model_family(SmallModel(**model).to(dtype))


WRONG_ONES = {
    "no transform": ({}, {"transform": None}, "the loss .* likely cause: transform"),
    "part of the transform": ({}, {"transform": lambda model: model.dense[0]}, "likely cause: transform"),
    "transform over neighbours": (
        {},
        {"transform": lambda model: lambda rows: model.dense(rows) * (rows.shape[0] if rows.dim() == 2 else 1)},
        "likely cause: transform, as it does not work on each row alone",
    ),
    "backbone too early": ({}, {"backbone": lambda model: Early(model)}, "likely cause: .*backbone"),
    "backbone that fails": (
        {}, {"backbone": lambda model: model.body.embed}, r"the patched model fails .* \(TypeError: .*likely cause: backbone",
    ),
    "no scale": ({"scale": 0.25}, {}, "likely cause: logit_scale, as the model's logits are 0.25 times"),
    "wrong scale": ({"scale": 0.25}, {"logit_scale": lambda model: 0.5}, "logit_scale, .* are 0.5 times"),
    "no softcap": ({"softcap": 0.5}, {}, "likely cause: logit_softcap"),
    "bias forgotten": ({}, {"head": unbiased}, "likely cause: head, as the model adds a bias"),
    "bias outside of the head": ({"outer_bias": True}, {}, "likely cause: head, as the model adds a bias"),
    "another head": ({}, {"head": lambda model: model.other}, "likely cause: head, as .* does not call that module"),
    "a head of another size": ({}, {"head": lambda model: model.dense[0]}, "the head has 8 rows but the logits 20"),
    "no such head": ({}, {"head": lambda model: model.decoder}, "its head is not where head looks for it"),
    "a copied head": (
        {}, {"head": lambda model: copy.deepcopy(model.lm_head)},
        "lm_head.bias gets a gradient by one .* likely cause: head",
    ),
    "a copied transform": ({}, {"transform": lambda model: copy.deepcopy(model.dense)}, "dense.0.bias gets a gradient"),
    "shift forgotten": ({"shifts": True}, {}, r"about token i \+ 1 by its own loss, but .* predicts_next=False"),
    "shift too many": ({}, {"predicts_next": True}, "about token i by its own loss, but .* predicts_next=True"),
    "mask ignored": ({"mask": "ignored"}, {}, "form 'tokens' .* does not hide what it should"),
    "mask not ignored": ({}, {"attention_mask": "ignored"}, "form 'ignored' .* has an effect"),
    "wrong mask": ({"mask": "bool_pairs"}, {}, "does not take input_ids and attention_mask .*likely cause: attention_mask is wrong"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG_ONES)
def test_what_is_registered_wrongly_is_named(name):
    options, family, sentence = WRONG_ONES[name]
    register(**family)
    model = SmallModel(**options)
    model.other = nn.Linear(D, V)
    with pytest.raises(AssertionError, match=rf"(?s)^SmallModel: .*{sentence}"):
        check_model_family(model)


def test_the_caller_says_where_the_model_does_not():
    register()
    check_model_family(Silent())
    check_model_family(Silent(), predicts_next=False)
    with pytest.raises(
        AssertionError, match=r"about token i \+ 1 as you say, .* predicts_next=False; likely cause: pre"
    ):
        check_model_family(Silent(), predicts_next=True)
    check_model_family(SmallModel(shifts=True), predicts_next=False)  # a loss of its own that means nothing


def test_a_tied_head_that_is_used_as_a_weight():
    register(head=lambda model: model.body.embed)
    check_model_family(Functional())
    register(head=lambda model: model.body.embed, transform=None)
    with pytest.raises(AssertionError, match="likely cause: head, transform or backbone, as the product of the tied"):
        check_model_family(Functional())


def test_frozen_parameters_count():
    register(transform=lambda model: copy.deepcopy(model.dense))
    with pytest.raises(AssertionError, match=r"dense\.0\.bias gets a gradient"):
        check_model_family(SmallModel().requires_grad_(False))


def test_zero_parameters_count():
    """A bias starts at zero, where forgetting it would not show."""
    register(head=unbiased)
    model = SmallModel()
    nn.init.zeros_(model.lm_head.bias)
    with pytest.raises(AssertionError, match="adds a bias"):
        check_model_family(model)
    assert not model.lm_head.bias.any()


@pytest.mark.parametrize("patched", [False, True])
def test_the_model_stays_as_it_was(patched):
    register()
    model = SmallModel().train()
    if patched:
        apply_lift_kernels(model)
    before, forward = {name: value.clone() for name, value in model.state_dict().items()}, model.forward
    state = torch.get_rng_state()
    check_model_family(model)
    assert torch.equal(state, torch.get_rng_state())
    assert model.training and model.forward == forward and patch.is_patched(model) is patched
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in model.parameters())


def test_inputs_of_the_model_may_be_given():
    register()
    ids = torch.randint(V, (3, 5))
    check_model_family(SmallModel(), {"input_ids": ids})
    check_model_family(SmallModel(), {"input_ids": ids, "attention_mask": torch.ones(3, 5)})


def test_what_cannot_be_checked_is_refused():
    with pytest.raises(ValueError, match=r"model type 'small_model' .* is not known"):
        check_model_family(SmallModel())
    register()
    with pytest.raises(ValueError, match=r"must be float32 or float64, got torch\.bfloat16 in .*\. Convert it"):
        check_model_family(SmallModel().bfloat16())
