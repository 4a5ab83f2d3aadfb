"""Adapters on disk: found, loaded to the bit, and refused where they do not belong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModelForMaskedLM

from lift import LiftError
from lift.models.lora import (
    LoraArguments,
    add_lora,
    base_of_adapter,
    check_mergeable,
    check_resumable,
    is_adapter,
    load_adapter,
    unfreeze_adapter,
)
from tests.lift.support.llada_layout import llada_layout
from tests.lift.support.tiny import tiny_model

IDS = torch.tensor([[2, 3, 4, 5, 6, 7, 1, 1]])
LORA = {"lora_r": 4, "lora_dropout": 0.0}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    tiny_model().save_pretrained(tmp_path / "base")
    return tmp_path / "base"


def with_adapter(base: Path, **options) -> PeftModel:
    """With an adapter that changes what the model computes."""
    model = add_lora(AutoModelForMaskedLM.from_pretrained(base), LoraArguments(use_peft=True, **(LORA | options)))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter)
    return model


def write_config(folder: Path, text: str) -> Path:
    folder.mkdir()
    (folder / "adapter_config.json").write_text(text)
    return folder


def rename_weights(folder: Path, rename) -> None:
    weights = load_file(folder / "adapter_model.safetensors")
    save_file({rename(key): tensor for key, tensor in weights.items()}, folder / "adapter_model.safetensors")


@pytest.mark.parametrize("part", ["", "layers.1"])
def test_weights_under_other_names_are_missing(tmp_path, base, part):
    with_adapter(base).save_pretrained(tmp_path / "adapter")
    load_adapter(AutoModelForMaskedLM.from_pretrained(base), tmp_path / "adapter")
    rename_weights(tmp_path / "adapter", lambda key: f"module.{key}" if part in key else key)
    with pytest.raises(LiftError, match=r"adapter_model.safetensors lacks base_model\..*lora_A.weight and \d+ more\."):
        load_adapter(AutoModelForMaskedLM.from_pretrained(base), tmp_path / "adapter")


def test_a_base_that_was_moved_is_named(tmp_path, base):
    with_adapter(base).save_pretrained(tmp_path / "adapter")
    base.rename(tmp_path / "elsewhere")
    with pytest.raises(
        LiftError, match=rf"belongs to {base}, and there is no such folder: set base_model_name_or_path"
    ):
        base_of_adapter(tmp_path / "adapter")


def test_an_adapter_is_told_from_a_model_and_names_its_base(tmp_path, base):
    with_adapter(base).save_pretrained(tmp_path / "adapter")
    assert is_adapter(tmp_path / "adapter") and is_adapter(str(tmp_path / "adapter"))
    assert not is_adapter(base) and not is_adapter(tmp_path / "nowhere")
    assert base_of_adapter(tmp_path / "adapter") == str(base)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{}", "names no base model: set base_model_name_or_path in it"),
        ('{"base_model_name_or_path": null}', "names no base model"),
        ("{", r"adapter_config\.json cannot be read: .*line 1"),
    ],
)
def test_a_configuration_without_a_base_is_refused(tmp_path, text, sentence):
    with pytest.raises(LiftError, match=sentence):
        base_of_adapter(write_config(tmp_path / "adapter", text))


def test_a_loaded_adapter_computes_what_the_saved_one_did_and_is_frozen(tmp_path, base):
    saved = with_adapter(base).eval()
    saved.save_pretrained(tmp_path / "adapter")
    plain = AutoModelForMaskedLM.from_pretrained(base)
    before = plain.eval()(IDS).logits
    loaded = load_adapter(plain, tmp_path / "adapter").eval()
    assert torch.equal(loaded(IDS).logits, saved(IDS).logits) and not torch.equal(saved(IDS).logits, before)
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


def test_an_adapter_that_does_not_fit_or_is_pickled_is_refused(tmp_path, base):
    with_adapter(base).save_pretrained(tmp_path / "adapter")
    wide = tiny_model().config.__class__(**{**tiny_model().config.to_dict(), "hidden_size": 32})
    with pytest.raises(LiftError, match="does not fit its base model"):
        load_adapter(AutoModelForMaskedLM.from_config(wide), tmp_path / "adapter")
    with_adapter(base).save_pretrained(tmp_path / "pickled", safe_serialization=False)
    with pytest.raises(LiftError, match=r"has no adapter_model.safetensors, and pickled weights are not read"):
        load_adapter(AutoModelForMaskedLM.from_pretrained(base), tmp_path / "pickled")


def test_an_adapter_on_one_of_two_layers_with_one_weight_is_not_merged():
    model = llada_layout()
    wrapped = add_lora(model, LoraArguments(use_peft=True, lora_target_modules=["q_proj"]))
    check_mergeable(wrapped)
    blocks = model.blocks
    blocks[2].v_proj.weight = blocks[0].q_proj.base_layer.weight
    with pytest.raises(
        LiftError, match=r"blocks\.0\.q_proj shares its weight with .*blocks\.2\.v_proj, which has no ad"
    ):
        check_mergeable(wrapped)


def test_a_checkpoint_continues_a_model_of_its_kind_and_shape(tmp_path, base):
    plain, model = AutoModelForMaskedLM.from_pretrained(base), with_adapter(base)
    model.save_pretrained(tmp_path / "adapter")
    check_resumable(plain, base)
    check_resumable(model, tmp_path / "adapter")
    with pytest.raises(LiftError, match="holds an adapter: resume with --use_peft true"):
        check_resumable(plain, tmp_path / "adapter")
    with pytest.raises(LiftError, match="holds a whole model: resume with --use_peft false"):
        check_resumable(model, base)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"r": 2}, "was trained with lora_r 2, not 4: resume with the same"),
        ({"lora_alpha": 8}, "was trained with lora_alpha 8, not 32"),
        ({"target_modules": ["a", "b"]}, "was trained with lora_target_modules a, b, not Wo"),
        ({"modules_to_save": ["head"]}, "was trained with lora_modules_to_save head, not None"),
    ],
    ids=str,
)
def test_an_adapter_of_another_shape_is_refused(tmp_path, base, changed, sentence):
    model = with_adapter(base, lora_target_modules=["Wo"])
    same = {"r": 4, "lora_alpha": 32, "target_modules": ["Wo"], "modules_to_save": None}
    check_resumable(model, write_config(tmp_path / "same", json.dumps(same)))
    with pytest.raises(LiftError, match=sentence):
        check_resumable(model, write_config(tmp_path / "other", json.dumps(same | changed)))


def test_an_adapter_that_was_loaded_can_be_trained_again(base, tmp_path):
    trained = with_adapter(base, lora_modules_to_save=["head.dense"])
    expected = [name for name, parameter in trained.named_parameters() if parameter.requires_grad]
    trained.save_pretrained(tmp_path / "adapter")
    loaded = load_adapter(AutoModelForMaskedLM.from_pretrained(base), tmp_path / "adapter")
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    unfreeze_adapter(loaded)
    assert [name for name, parameter in loaded.named_parameters() if parameter.requires_grad] == expected


def test_a_model_without_an_adapter_stays_as_it_is():
    model = tiny_model().requires_grad_(False)
    unfreeze_adapter(model)
    assert not any(parameter.requires_grad for parameter in model.parameters())
