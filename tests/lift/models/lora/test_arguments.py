"""LoRA's options: their defaults, and what is refused."""

from __future__ import annotations

import sys

import pytest

from lift.errors import LiftError
from lift.models.lora import LoraArguments


def test_the_defaults_adapt_every_linear_layer_and_ask_for_nothing():
    arguments = LoraArguments()
    assert not arguments.use_peft and not arguments.load_in_4bit
    assert (arguments.lora_r, arguments.lora_alpha, arguments.lora_dropout) == (16, 32, 0.05)
    assert arguments.lora_target_modules == ["all-linear"] and arguments.lora_modules_to_save is None
    arguments.lora_target_modules.append("q_proj")
    assert LoraArguments().lora_target_modules == ["all-linear"]  # a list of its own


def test_the_ends_of_the_ranges_are_allowed():
    arguments = LoraArguments(use_peft=True, lora_r=1, lora_alpha=1, lora_dropout=0.0, lora_target_modules=["q", "k"])
    assert (arguments.lora_r, arguments.lora_alpha, arguments.lora_dropout) == (1, 1, 0.0)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"lora_r": 0}, "lora_r must be at least 1, got 0"),
        ({"lora_alpha": 0}, "lora_alpha must be above 0, got 0"),
        ({"lora_dropout": 1.0}, r"lora_dropout must be at least 0 and below 1, got 1\.0"),
        ({"lora_target_modules": ["all-linear", "q_proj"]}, "all-linear stands alone"),
        ({"load_in_4bit": True}, "load_in_4bit needs use_peft"),
    ],
)
def test_an_option_out_of_range_is_named(options, sentence):
    with pytest.raises(LiftError, match=sentence):
        LoraArguments(**options)


def test_packages_are_asked_for_where_they_are_needed(monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)  # `find_spec` then finds nothing, as where it is not installed
    LoraArguments(lora_r=4)
    with pytest.raises(LiftError, match="use_peft needs peft"):
        LoraArguments(use_peft=True)
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    LoraArguments(use_peft=True)
    with pytest.raises(LiftError, match="load_in_4bit needs bitsandbytes"):
        LoraArguments(use_peft=True, load_in_4bit=True)
