"""Logits of a few positions are those that the model gives with all others, and the others are not made."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, get_peft_model

from lift_kernels import apply_lift_kernels
from lift_kernels.models import find_model_family, selected_logits
from tests.lift_kernels.tiny_models import TINY, TINY_MODELS, B, L, LogitsSeen, V, build

INDEX = torch.tensor([3, L + 1, L + 2, 3 * L - 1])


@pytest.mark.parametrize("is_patched", [False, True], ids=["own", "patched"])
@pytest.mark.parametrize("name", [name for name in TINY_MODELS if name != "diffusion-gemma"])
def test_they_are_the_models_own(name, is_patched):
    model, inputs = build(name).eval(), TINY_MODELS[name].inputs(TINY)
    with torch.no_grad():
        expected = model(**inputs).logits.flatten(0, 1)[INDEX]
        if is_patched:
            apply_lift_kernels(model)
        with LogitsSeen(B * L, V) as seen:
            ours = selected_logits(find_model_family(model), model, model, inputs, INDEX)
        again = model(**inputs).logits.flatten(0, 1)[INDEX]
    assert ours.shape == (len(INDEX), V) and not seen.found
    torch.testing.assert_close(ours, expected, rtol=1e-6, atol=1e-9)
    assert torch.equal(again, expected)  # nothing is left behind


def test_an_adapter_on_the_head_counts():
    model = build("bert").eval()
    wrapped = get_peft_model(model, LoraConfig(r=2, target_modules=["predictions.decoder"], init_lora_weights=False))
    inputs = TINY_MODELS["bert"].inputs(TINY)
    with torch.no_grad():
        expected = wrapped(**inputs).logits.flatten(0, 1)[INDEX]
        ours = selected_logits(find_model_family(model), wrapped, model, inputs, INDEX)
    torch.testing.assert_close(ours, expected, rtol=1e-6, atol=1e-9)


def test_a_model_that_calls_no_hooks_is_read_at_the_same_places():
    model, inputs = build("bert").eval(), TINY_MODELS["bert"].inputs(TINY)
    with torch.no_grad():
        outputs = model(**inputs)
        ours = selected_logits(find_model_family(model), lambda **_: outputs, model, inputs, INDEX)
    assert torch.equal(ours, outputs.logits.flatten(0, 1)[INDEX])
