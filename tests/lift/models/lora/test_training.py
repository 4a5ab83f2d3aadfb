"""The trainer with an adapter: what it changes, leaves on disk, and resumes to the bit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from torch import Tensor
from transformers import AutoModelForMaskedLM

from lift import LiftError, LiftTrainer
from lift.models.lora import LoraArguments, add_lora, load_adapter
from lift.tasks import sudoku
from tests.lift.support.tiny import tiny_config, tiny_model, tiny_rows


@pytest.fixture
def base(tmp_path: Path) -> Path:
    tiny_model(dropout=0.1).save_pretrained(tmp_path / "base")
    return tmp_path / "base"


def with_adapter(base: Path, seed: int = 0, **options) -> PeftModel:
    model = AutoModelForMaskedLM.from_pretrained(base)
    torch.manual_seed(seed)
    return add_lora(model, LoraArguments(use_peft=True, **({"lora_r": 4, "lora_dropout": 0.1} | options)))


def make_trainer(model: torch.nn.Module, folder: Path, **options) -> LiftTrainer:
    options = {"save_strategy": "steps", "save_steps": 3, "max_steps": 6, "gradient_accumulation_steps": 2} | options
    return LiftTrainer(
        model=model, args=tiny_config(folder, **options), train_dataset=tiny_rows(), eval_dataset=tiny_rows(6),
        processing_class=sudoku.build_tokenizer(),
    )  # fmt: skip


def weights(model: torch.nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def test_only_the_adapter_is_trained_and_saved(tmp_path, base):
    model = with_adapter(base)
    trainer = make_trainer(model, tmp_path / "out")
    plain = make_trainer(AutoModelForMaskedLM.from_pretrained(base), tmp_path / "plain")
    assert trainer.evaluate()["eval_loss"] == plain.evaluate()["eval_loss"]  # a new adapter adds nothing
    before = weights(model)
    trainer.train()
    changed = {name for name, value in weights(model).items() if not torch.equal(value, before[name])}
    assert changed == {name for name in before if "lora_" in name}
    checkpoint = tmp_path / "out" / "checkpoint-3"
    names = {path.name for path in checkpoint.iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json", "optimizer.pt", "tokenizer_config.json"} <= names
    assert not any(name.startswith(("model", "pytorch_model", "adapter_model.bin")) for name in names)
    assert json.loads((checkpoint / "adapter_config.json").read_text())["base_model_name_or_path"] == str(base)


def test_a_resumed_adapter_run_is_the_same_run_to_the_bit(tmp_path, base):
    whole = make_trainer(with_adapter(base), tmp_path / "whole")
    whole.train()
    resumed = make_trainer(with_adapter(base, seed=5), tmp_path / "resumed")
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-3"))
    assert resumed.state.global_step == 6
    ours, theirs = weights(resumed.model), weights(whole.model)
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
    loaded = load_adapter(AutoModelForMaskedLM.from_pretrained(base), tmp_path / "whole" / "checkpoint-6")
    assert all(torch.equal(weights(loaded)[name], theirs[name]) for name in theirs)


def test_a_relative_base_is_found_from_another_folder(tmp_path, base, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = with_adapter(Path("base"))
    assert model.peft_config["default"].base_model_name_or_path == str(base.resolve())


def test_a_checkpoint_of_another_kind_or_shape_is_refused(tmp_path, base):
    short = {"max_steps": 1, "save_steps": 1}
    make_trainer(with_adapter(base), tmp_path / "adapter", **short).train()
    make_trainer(AutoModelForMaskedLM.from_pretrained(base), tmp_path / "full", **short).train()
    adapter, full = str(tmp_path / "adapter" / "checkpoint-1"), str(tmp_path / "full" / "checkpoint-1")

    def resume(model: torch.nn.Module, checkpoint: str) -> None:
        make_trainer(model, tmp_path / "resumed", **short).train(resume_from_checkpoint=checkpoint)

    with pytest.raises(LiftError, match="holds an adapter: resume with --use_peft true"):
        resume(AutoModelForMaskedLM.from_pretrained(base), adapter)
    with pytest.raises(LiftError, match="holds a whole model: resume with --use_peft false"):
        resume(with_adapter(base), full)
    with pytest.raises(LiftError, match="was trained with lora_alpha 32, not 8: resume with the same"):
        resume(with_adapter(base, lora_alpha=8), adapter)
    with pytest.raises(LiftError, match="was trained with lora_r 4, not 2"):
        resume(with_adapter(base, lora_r=2), adapter)
    with pytest.raises(LiftError, match=r"was trained with lora_target_modules .*Wqkv.*, not Wqkv: resume"):
        resume(with_adapter(base, lora_target_modules=["Wqkv"]), adapter)
