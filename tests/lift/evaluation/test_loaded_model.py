"""The model under evaluation: from folders and adapters, on the device that there is."""

from __future__ import annotations

import pytest
import torch

from lift.errors import LiftError
from lift.evaluation.loaded_model import _device, load
from lift.evaluation.weights_digest import weights_digest
from lift.models.lora import LoraArguments, add_lora
from lift.tasks.sudoku import build_tokenizer
from tests.lift.support.tiny import tiny_model


def test_a_model_and_its_tokenizer_come_from_a_folder(tmp_path):
    tiny_model(1).save_pretrained(tmp_path)
    build_tokenizer().save_pretrained(tmp_path)
    loaded = load(str(tmp_path), device="cpu")
    assert (loaded.mask_token_id, loaded.end_ids, loaded.unknown_ids) == (1, {0}, (7,))
    assert loaded.max_length == 64 and not loaded.needs_equal_lengths and not loaded.predicts_next
    assert weights_digest(loaded.model) == weights_digest(tiny_model(1)) != weights_digest(tiny_model(2))
    assert next(load(str(tmp_path), dtype="bfloat16").model.parameters()).dtype == torch.bfloat16


def test_a_mask_token_that_the_tokenizer_also_ends_with_ends_no_answer(tmp_path):
    tiny_model(1).save_pretrained(tmp_path)
    tokenizer = build_tokenizer()
    tokenizer.eos_token = tokenizer.mask_token
    tokenizer.save_pretrained(tmp_path)
    loaded = load(str(tmp_path), device="cpu")
    assert loaded.mask_token_id == 1 and loaded.end_ids == frozenset()


def test_an_adapter_is_put_into_its_base_unmerged(tmp_path):
    base = tmp_path / "base"
    tiny_model(1).save_pretrained(base)
    build_tokenizer().save_pretrained(base)
    adapted = add_lora(load(str(base)).model, LoraArguments(use_peft=True, lora_r=2, lora_target_modules=["Wqkv"]))
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.5)
    adapted.save_pretrained(tmp_path / "adapter")
    build_tokenizer().save_pretrained(tmp_path / "adapter")
    ids = torch.tensor([[2, 3, 1]])
    plain = load(str(base))
    for loaded in (load(str(tmp_path / "adapter")), load(str(base), peft=str(tmp_path / "adapter"))):
        assert any("lora_B" in name for name, _ in loaded.model.named_parameters())
        assert not torch.allclose(loaded.model(input_ids=ids).logits, plain.model(input_ids=ids).logits)
        assert weights_digest(loaded.model) != weights_digest(plain.model)
    with pytest.raises(LiftError, match="leave one out"):
        load(str(tmp_path / "adapter"), peft=str(tmp_path / "adapter"))


def test_a_model_that_is_loaded_needs_its_tokenizer():
    with pytest.raises(LiftError, match="pass tokenizer"):
        load(tiny_model(1))


def test_a_model_without_attention_masks_needs_rows_of_one_length(monkeypatch):
    loaded = load(tiny_model(1), tokenizer=build_tokenizer())
    family = type("Family", (), {"attention_mask": "ignored", "predicts_next": True})
    for module in ("lift.evaluation.loaded_model", "lift.models.attention"):
        monkeypatch.setattr(f"{module}.family_of", lambda model: family)
    assert loaded.needs_equal_lengths and loaded.predicts_next


def test_a_device_that_is_not_there_is_the_cpu(caplog):
    assert _device("cpu") == torch.device("cpu")
    if torch.accelerator.is_available():
        pytest.skip("this machine has an accelerator")
    assert _device(None) == _device("auto") == torch.device("cpu") and not caplog.messages
    assert _device("cuda:0") == torch.device("cpu") and "cuda:0 is asked for" in caplog.text
