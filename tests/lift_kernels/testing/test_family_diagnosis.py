"""The likely cause of a difference, entry by entry of a family."""

from __future__ import annotations

import copy
import re
from dataclasses import replace

import pytest
import torch
from torch import nn

from lift_kernels.models.families import ModelFamily
from lift_kernels.testing.family_diagnosis import likely_cause
from tests.lift_kernels.testing.small_model import RIGHT, D, Functional, SmallModel, V

FAMILY = ModelFamily(**RIGHT)


def cause(model: nn.Module, **changes) -> str:
    family = replace(FAMILY, **changes)
    inputs = {"input_ids": torch.randint(V, (2, 8))}
    return likely_cause(model, family, family.head(model), inputs, model(**inputs).logits.detach())


@pytest.mark.parametrize(
    ("options", "changes", "expected"),
    [
        ({"scale": 0.25}, {}, "logit_scale, as the model's logits are 0.25 times those of the family"),
        ({"softcap": 0.5}, {}, "logit_softcap, as the model's logits rise with those of the family"),
        ({"outer_bias": True}, {}, "head, as the model adds a bias to its logits which that module does not hold"),
        ({}, {"transform": None}, "transform .*as the head takes other rows in the model's own forward"),
        ({}, {"transform": lambda model: nn.Linear(D, D + 1)}, "transform or backbone, as the head cannot take"),
        ({}, {"head": lambda model: nn.Linear(D, V)}, "head, as the model's own forward does not call that module"),
        (
            {}, {"transform": lambda model: lambda rows: model.dense(rows) + 0.1 * (rows.dim() == 2)},
            "transform, as it does not work on each row alone",
        ),
        ({}, {"transform": lambda model: copy.deepcopy(model.dense)}, "head, .* one of which is a copy and not the module"),
    ],
)  # fmt: skip
def test_the_entry_that_is_wrong_is_named(options, changes, expected):
    found = cause(SmallModel(**options), **changes)
    assert re.match(expected, found), found


def test_a_tied_weight_has_no_call_to_look_at():
    found = cause(Functional(), head=lambda model: model.body.embed, transform=None)
    assert found.startswith("head, transform or backbone, as the product of the tied weight")


def test_a_transform_too_many_is_named():
    class Bare(SmallModel):
        def forward(self, input_ids, attention_mask=None, labels=None):
            output = super().forward(input_ids, attention_mask)
            output.logits = self.lm_head(self.body(input_ids, attention_mask)[0])
            return output

    assert cause(Bare()).startswith("transform, as the head takes the hidden states as they are")


def test_no_hook_stays():
    model = SmallModel()
    cause(model)
    assert not model.lm_head._forward_pre_hooks
