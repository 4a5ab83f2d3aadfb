"""The masks that the check makes: one for each form, and what each hides."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from lift_kernels.models.families import ModelFamily
from lift_kernels.testing.attention_masks import check_attention_mask, masked_inputs
from tests.lift_kernels.testing.small_model import RIGHT, SmallModel, V

FAMILY = ModelFamily(**RIGHT)


def inputs(form: str, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return masked_inputs(replace(FAMILY, attention_mask=form), V, SmallModel().to(dtype), generator)


def test_each_form_hides_the_end_of_the_last_row():
    tokens = inputs("tokens")["attention_mask"]
    assert tokens.tolist() == [[1] * 8, [1] * 5 + [0] * 3] and tokens.dtype == torch.int64
    pairs = inputs("bool_pairs")["attention_mask"]
    assert pairs.shape == (2, 1, 8, 8) and pairs.dtype == torch.bool
    assert torch.equal(pairs, tokens.bool()[:, None, None, :].expand(2, 1, 8, 8))
    added = inputs("added_pairs", torch.float64)["attention_mask"]
    assert added.dtype == torch.float64 and torch.equal(added == 0, pairs) and (added.exp() == pairs).all()
    assert list(inputs("ignored")) == ["input_ids"]
    assert inputs("tokens")["input_ids"].max() < V


@pytest.mark.parametrize("registered", ["tokens", "added_pairs", "bool_pairs", "ignored"])
@pytest.mark.parametrize("taken", ["tokens", "added_pairs", "bool_pairs", "ignored"])
def test_only_the_form_that_the_model_takes_passes(taken, registered):
    model, family = SmallModel(mask=taken), replace(FAMILY, attention_mask=registered)
    call = (model, family, torch.randint(V, (2, 8)), V, "SmallModel")
    if taken == registered:
        check_attention_mask(*call)
    else:
        with pytest.raises(AssertionError, match=f"SmallModel: .*'{registered}' that its family is registered with"):
            check_attention_mask(*call)


def test_a_mask_that_hides_only_a_part_is_found():
    class Leaky(SmallModel):
        def forward(self, input_ids, attention_mask=None):
            mask = attention_mask.clone()
            mask[:, -1] = 1
            return super().forward(input_ids, mask)

    with pytest.raises(AssertionError, match="does not hide what it should"):
        check_attention_mask(Leaky(), FAMILY, torch.randint(V, (2, 8)), V, "Leaky")


def test_a_single_token_hides_nothing_and_is_not_judged():
    check_attention_mask(SmallModel(mask="ignored"), FAMILY, torch.randint(V, (2, 1)), V, "SmallModel")
