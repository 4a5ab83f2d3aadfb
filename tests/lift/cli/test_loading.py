"""The model and the tokenizer that the flags name."""

from __future__ import annotations

import json

import pytest
import torch
from transformers import GenerationConfig

from lift.cli.arguments import ModelArguments
from lift.cli.loading import build_model, keep_generation_config, load_config, load_generation_config, load_tokenizer
from lift.errors import LiftError
from lift.tasks import sudoku
from tests.lift.cli.support import TINY_MODEL


def test_a_new_model_follows_its_configuration_and_seed():
    arguments = ModelArguments(model_config=json.dumps(TINY_MODEL), dtype="bfloat16")
    tokenizer = sudoku.build_tokenizer()
    first, again, other = (build_model(arguments, tokenizer, seed=seed) for seed in (1, 1, 2))
    weights = [torch.cat([p.flatten() for p in model.parameters()]) for model in (first, again, other)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
    assert weights[0].dtype == torch.bfloat16
    assert load_config(arguments, tokenizer).to_dict()["hidden_size"] == first.config.hidden_size == 16


def test_a_saved_model_is_loaded_with_its_tokenizer(model_folder):
    arguments = ModelArguments(model_name_or_path=str(model_folder), dtype="auto")
    tokenizer = load_tokenizer(arguments)
    assert len(tokenizer) == 7
    assert build_model(arguments, tokenizer, seed=0).num_parameters() > 0
    assert load_config(arguments, tokenizer).model_type == "modernbert"


def test_the_generation_configuration_of_a_model_is_kept(model_folder, tmp_path):
    arguments = ModelArguments(model_name_or_path=str(model_folder))
    out, adapter = tmp_path / "out", tmp_path / "adapter"
    keep_generation_config(arguments, out)
    keep_generation_config(ModelArguments(model_config="{}"), out)
    assert load_generation_config(arguments) is None and not out.exists()
    GenerationConfig(eos_token_id=[3, 4]).save_pretrained(model_folder)
    keep_generation_config(arguments, out)
    assert load_generation_config(ModelArguments(model_name_or_path=str(out))).eos_token_id == [3, 4]
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(model_folder)}))
    assert load_generation_config(ModelArguments(model_name_or_path=str(adapter))).eos_token_id == [3, 4]


def test_what_is_missing_is_named():
    with pytest.raises(LiftError, match="no tokenizer: pass --model_name_or_path or --tokenizer_name_or_path"):
        load_tokenizer(ModelArguments(model_config="{}"))
    for call in (lambda a: load_config(a, None), lambda a: build_model(a, None, seed=0)):
        with pytest.raises(LiftError, match="pass either --model_name_or_path or --model_config"):
            call(ModelArguments())
        with pytest.raises(LiftError, match=r"model_config must be a mapping with model_type, got '\[1\]'"):
            call(ModelArguments(model_config="[1]"))
