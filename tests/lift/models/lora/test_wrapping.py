"""Which layers get an adapter, and what is said where a name reaches nothing or too much."""

from __future__ import annotations

import logging

import pytest
import torch
from torch import nn

from lift.errors import LiftError
from lift.models.lora import LoraArguments, add_lora
from tests.lift.support.llada_layout import llada_layout
from tests.lift.support.tiny import tiny_model

BLOCK_LAYERS = ["q_proj", "k_proj", "v_proj", "attn_out", "ff_proj", "up_proj", "ff_out"]


def wrap(model: nn.Module, *targets: str, **options):
    arguments = LoraArguments(use_peft=True, lora_r=2, **options)
    if targets:
        arguments.lora_target_modules = list(targets)
    return add_lora(model, arguments)


def adapted(model: nn.Module) -> set[str]:
    return {name for name, module in model.get_base_model().named_modules() if hasattr(module, "lora_A")}


def in_blocks(*layers: str) -> set[str]:
    return {f"model.transformer.blocks.{i}.{layer}" for i in range(3) for layer in layers}


def test_the_published_targets_are_reached_and_everything_else_is_frozen():
    model = wrap(llada_layout(), "q_proj", "k_proj", "v_proj")
    assert adapted(model) == in_blocks("q_proj", "k_proj", "v_proj")
    assert all(("lora_" in name) == p.requires_grad for name, p in model.named_parameters())
    config = model.peft_config["default"]
    assert (config.r, config.lora_alpha, config.lora_dropout, config.bias, config.task_type) == (
        2,
        32,
        0.05,
        "none",
        None,
    )


def test_a_single_name_is_a_name_and_not_a_pattern():
    assert adapted(wrap(llada_layout(), "q_proj")) == in_blocks("q_proj")


@pytest.mark.parametrize("targets", [(), ("all-linear",)])
def test_all_linear_leaves_the_head_out(targets):
    assert adapted(wrap(llada_layout(), *targets)) == in_blocks(*BLOCK_LAYERS)
    reached = adapted(wrap(tiny_model(), *targets))
    assert "head.dense" in reached and "model.layers.0.attn.Wqkv" in reached and "decoder" not in reached


def test_a_name_of_blocks_and_head_means_the_blocks_and_says_so(caplog):
    with caplog.at_level(logging.WARNING, "lift"):
        model = wrap(llada_layout(), "ff_out", "q_proj")
    assert adapted(model) == in_blocks("ff_out", "q_proj")
    assert type(model.get_output_embeddings()) is nn.Linear
    assert "reaches the output head model.transformer.ff_out along with other layers" in caplog.text


def test_a_tied_head_that_is_left_out_is_no_mistake():
    model = llada_layout()
    model.get_output_embeddings().weight = model.get_input_embeddings().weight
    assert adapted(wrap(model, "ff_out")) == in_blocks("ff_out")


def test_the_whole_path_of_the_head_means_the_head(caplog):
    assert adapted(wrap(llada_layout(), "model.transformer.ff_out")) == {"model.transformer.ff_out"}
    assert not caplog.records


def test_modules_to_save_are_trained_whole():
    model = wrap(llada_layout(), "q_proj", lora_modules_to_save=["ln_f"])
    trained = {name for name, p in model.named_parameters() if p.requires_grad and "lora_" not in name}
    assert trained == {"base_model.model.model.transformer.ln_f.modules_to_save.default.weight"}


def test_a_half_precision_base_gets_a_float32_adapter():
    model = wrap(llada_layout().to(torch.bfloat16))
    assert {p.dtype for p in model.parameters() if p.requires_grad} == {torch.float32}
    assert {p.dtype for p in model.parameters() if not p.requires_grad} == {torch.bfloat16}


@pytest.mark.parametrize(
    ("model", "targets", "options", "sentence"),
    [
        (llada_layout, ["q_proj", "query"], {}, "no module of LladaLayoutModel is called 'query'; its linear layers are called q_proj, k_proj, v_proj, attn_out, ff_proj, up_proj, ff_out: use names that there are."),
        (llada_layout, ["proj"], {}, "no module of LladaLayoutModel is called 'proj'"),  # the end of a name is no name
        (llada_layout, ["q_proj"], {"lora_modules_to_save": ["lm_head"]}, "no module of LladaLayoutModel is called 'lm_head'"),
        (llada_layout, ["ln_f"], {}, "lora_target_modules: Target module RMSNorm"),
        (tiny_model, ["decoder"], {}, "decoder shares its weight with model.embeddings.tok_embeddings, so an adapter cannot change it alone"),
        (tiny_model, ["all-linear"], {"lora_modules_to_save": ["decoder"]}, "decoder shares its weight with"),
    ],
)  # fmt: skip
def test_what_cannot_be_adapted_is_named(model, targets, options, sentence):
    with pytest.raises(LiftError, match=sentence):
        wrap(model(), *targets, **options)
