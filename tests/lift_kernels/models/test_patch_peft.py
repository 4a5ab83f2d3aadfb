"""The patch under PEFT: adapters anywhere, on the head too, against the adapted model's own logits."""

from __future__ import annotations

import copy

import peft
import pytest
import torch
from torch import nn

from lift_kernels import apply_lift_kernels, remove_lift_kernels
from lift_kernels.models.head import vocab_size_of
from lift_kernels.models.patch import unwrap_model
from lift_kernels.testing import logits_loss
from tests.lift_kernels.tiny_models import (
    TINY,
    TINY_MODELS,
    B,
    L,
    V,
    build,
    expect_equal,
    gradients,
    labels_for,
    own_logits,
)

# transformers' own notice about a constant that peft still reads; it ends with peft's next release.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")
HEADS = {"bert": "decoder", "modernbert": "decoder", "llada": "transformer.ff_out", "dream": "lm_head"}


def adapted(name: str, **options) -> peft.PeftModel:
    """The model with random adapters: a fresh lora_B is zero, which would hide it."""
    options = {"r": 4, "lora_alpha": 8, "lora_dropout": 0.0} | options
    model = peft.get_peft_model(build(name), peft.LoraConfig(**options), autocast_adapter_dtype=False)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if "lora_B" in key:
                parameter.copy_(torch.randn_like(parameter) * 0.3)
    return model


def compare(name: str, model: nn.Module) -> dict[str, torch.Tensor]:
    """Loss and gradients of what is trained, unpatched and patched; returns the gradients."""
    inputs, labels, token_weight = TINY_MODELS[name].inputs(TINY), labels_for(name), torch.rand(B, L).double() * 10
    tolerance = 1e-5 if TINY_MODELS[name].float32_logits else 1e-9
    remove_lift_kernels(model)
    expected_loss = logits_loss(own_logits(name, model, inputs), labels, token_weight, 17.0)
    expected = gradients(model, expected_loss)
    apply_lift_kernels(model)
    loss = model(**inputs, labels=labels, token_weight=token_weight, denominator=17.0).loss
    expect_equal({"loss": loss}, {"loss": expected_loss}, tolerance)
    ours = gradients(model, loss)
    expect_equal(ours, expected, tolerance)
    return ours


@pytest.mark.parametrize("name", TINY_MODELS)
def test_adapters_on_every_linear_layer(name):
    ours = compare(name, adapted(name, target_modules="all-linear"))
    assert len(ours) >= 8 and all("lora_" in key for key in ours)


@pytest.mark.parametrize("name", HEADS)
def test_an_adapter_on_the_head_counts(name):
    ours = compare(name, adapted(name, target_modules=[HEADS[name]]))
    assert len(ours) == 2 and all(gradient.any() for gradient in ours.values())


def test_the_scope_of_an_adapter_on_the_head_is_followed():
    """Its dropout, its scaling, a second one beside it, switched off, merged."""
    model = adapted("dream", target_modules=["lm_head"], lora_alpha=3)
    head = unwrap_model(model).lm_head

    class Doubling(nn.Module):  # what the dropout did can be seen
        def forward(self, inputs):
            return 2 * inputs

    head.lora_dropout["default"] = Doubling()
    first = compare("dream", model)
    head.lora_dropout["default"] = nn.Identity()
    assert not torch.equal(compare("dream", model)["base_model.model.lm_head.lora_A.default.weight"], first[
        "base_model.model.lm_head.lora_A.default.weight"
    ])  # fmt: skip
    model.add_adapter("second", peft.LoraConfig(r=2, target_modules=["lm_head"]))
    head.double()
    with torch.no_grad():
        head.lora_B["second"].weight.normal_()
    model.base_model.set_adapter(["default", "second"])
    assert len(compare("dream", model)) == 4
    with model.disable_adapter():
        inputs, labels = TINY_MODELS["dream"].inputs(TINY), labels_for("dream")
        expected = logits_loss(own_logits("dream", model, inputs), labels, torch.ones(B, L).double(), 17.0)
        torch.testing.assert_close(model(**inputs, labels=labels, denominator=17.0).loss, expected)
    model.merge_adapter()
    expected = logits_loss(own_logits("dream", model, inputs), labels, torch.ones(B, L).double(), 17.0)
    torch.testing.assert_close(model(**inputs, labels=labels, denominator=17.0).loss, expected)


@pytest.mark.parametrize("name", ["llada", "dream", "distilbert"])
def test_a_head_among_the_modules_to_save_is_the_one_trained(name):
    head = {"llada": "transformer.ff_out", "dream": "lm_head", "distilbert": "vocab_projector"}[name]
    model = adapted(name, target_modules=["q_proj"] if name != "distilbert" else ["q_lin"], modules_to_save=[head])
    with torch.no_grad():
        unwrap_model(model).get_output_embeddings().modules_to_save["default"].weight.add_(0.1)
    ours = compare(name, model)
    assert any("modules_to_save" in key for key in ours)


def test_patched_before_peft():
    model = peft.get_peft_model(
        apply_lift_kernels(build("llada")), peft.LoraConfig(r=2, target_modules=["ff_out"], lora_dropout=0.0)
    )
    inputs, labels = TINY_MODELS["llada"].inputs(TINY), labels_for("llada")
    fused = model(**inputs, labels=labels, denominator=17.0).loss
    expected = logits_loss(own_logits("llada", model, inputs), labels, torch.ones(B, L).double(), 17.0)
    torch.testing.assert_close(fused, expected, check_dtype=False)


@pytest.mark.parametrize(
    "config",
    [
        peft.LoraConfig(r=2, target_modules=["lm_head"], use_dora=True),
        peft.LoraConfig(r=2, target_modules=["lm_head"], lora_bias=True),
        peft.IA3Config(target_modules=["lm_head"], feedforward_modules=[]),
    ],
    ids=["dora", "lora_bias", "ia3"],
)
def test_other_adapters_on_the_head_are_refused_by_name(config):
    dream = build("dream")
    if isinstance(config, peft.LoraConfig) and config.lora_bias:
        dream.lm_head = nn.Linear(dream.lm_head.in_features, dream.lm_head.out_features).double()
    model = peft.get_peft_model(dream, config)
    with pytest.raises(ValueError, match=r"adapter on the head \(peft.tuners.*\) is not a plain LoRA"):
        apply_lift_kernels(model)


def test_a_deep_copy_of_an_adapted_head_keeps_its_own():
    model = apply_lift_kernels(adapted("dream", target_modules=["lm_head"]))
    inputs, labels = TINY_MODELS["dream"].inputs(TINY), labels_for("dream")
    twin = copy.deepcopy(model)
    before = model(**inputs, labels=labels).loss
    with torch.no_grad():
        unwrap_model(twin).lm_head.lora_B["default"].weight.zero_()
    assert not torch.equal(twin(**inputs, labels=labels).loss, before)
    assert torch.equal(model(**inputs, labels=labels).loss, before)


def test_a_tied_head_trained_as_a_copy_says_how_many_rows_it_has():
    model = adapted("llada-tied-scaled", target_modules=["q_proj"], modules_to_save=["wte"])
    assert vocab_size_of(model.get_output_embeddings()) == V
    compare("llada-tied-scaled", model)
