"""The switch, with the real Liger Kernel's table and transformers' own Trainer."""

from __future__ import annotations

import copy
import sys

import pytest
import torch
from datasets import Dataset
from torch.nn.functional import cross_entropy
from transformers import BertConfig, BertForMaskedLM, BertForSequenceClassification, Trainer, TrainingArguments

from lift_kernels.integrations.liger import apply_to_instance, register_with_liger
from lift_kernels.models import families
from lift_kernels.models.patch import is_patched

monkey_patch = pytest.importorskip("liger_kernel.transformers.monkey_patch", reason="liger-kernel is not installed")

V, L = 99, 12
CONFIG = BertConfig(
    vocab_size=V, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=48,
    max_position_embeddings=L, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _own_table(monkeypatch):
    monkeypatch.setattr(monkey_patch, "MODEL_TYPE_TO_APPLY_LIGER_FN", dict(monkey_patch.MODEL_TYPE_TO_APPLY_LIGER_FN))
    register_with_liger()


def rows(num_rows: int = 8) -> Dataset:
    """Rows with 1 to 8 labels: micro-batches of a step then differ in how many they hold."""
    input_ids = torch.randint(V, (num_rows, L))
    labels = input_ids.where(torch.arange(L) < torch.arange(1, num_rows + 1)[:, None], -100)
    return Dataset.from_dict({"input_ids": input_ids.tolist(), "labels": labels.tolist(), "note": ["a"] * num_rows})


def make_trainer(tmp_path, model, dataset, **options) -> Trainer:
    defaults = {
        "per_device_train_batch_size": 4, "max_steps": 2, "learning_rate": 0.1, "optim": "sgd", "logging_steps": 1,
        "save_strategy": "no", "report_to": "none", "disable_tqdm": True, "use_cpu": True, "max_grad_norm": 0.0,
        "dataloader_pin_memory": False, "lr_scheduler_type": "constant", "use_liger_kernel": True,
    }  # fmt: skip
    args = TrainingArguments(str(tmp_path), **(defaults | options))
    return Trainer(model, args, train_dataset=dataset, eval_dataset=dataset)


def steps_through_logits(model, dataset, num_steps: int, size: int, lr: float = 0.1) -> list[float]:
    """Plain SGD on the same rows in the order of `dataset`, `size` of them a step."""
    losses = []
    for step in range(num_steps):
        batch = dataset[step * size : (step + 1) * size]
        input_ids, labels = torch.tensor(batch["input_ids"]), torch.tensor(batch["labels"])
        loss = cross_entropy(model(input_ids).logits.flatten(0, 1), labels.flatten())
        model.zero_grad()
        loss.backward()
        with torch.no_grad():
            for p in model.parameters():
                if p.grad is not None:
                    p -= lr * p.grad
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize(("size", "accumulation"), [(4, 1), (2, 2), (1, 4)])
def test_the_trainer_takes_the_steps_of_the_logits_loss_however_they_are_split(tmp_path, size, accumulation):
    model, dataset = BertForMaskedLM(CONFIG), rows()
    twin = copy.deepcopy(model)
    trainer = make_trainer(
        tmp_path, model, dataset, per_device_train_batch_size=size, gradient_accumulation_steps=accumulation,
        train_sampling_strategy="sequential",
    )  # fmt: skip
    trainer.train()
    assert is_patched(model)
    logged = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    expected = steps_through_logits(twin, dataset, 2, 4)
    assert logged == pytest.approx(expected, abs=1e-4)
    for (name, ours), theirs in zip(model.named_parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6, msg=name)


def test_no_logits_in_training_and_evaluation_but_for_metrics_that_ask(tmp_path, monkeypatch):
    model, dataset, seen = BertForMaskedLM(CONFIG), rows(), []
    model.cls.predictions.decoder.register_forward_hook(
        lambda module, args, output: seen.extend([output.shape] if isinstance(output, torch.Tensor) else [])
    )
    trainer = make_trainer(tmp_path, model, dataset, max_steps=1, prediction_loss_only=True)
    trainer.train()
    loss = trainer.evaluate()["eval_loss"]
    assert not [shape for shape in seen if len(shape) == 3 and shape[-1] == V]
    trainer.args.prediction_loss_only = False
    trainer.compute_metrics = lambda prediction: {"shape": prediction.predictions.shape}
    metrics = trainer.evaluate()
    assert metrics["eval_shape"] == (8, L, V)
    assert metrics["eval_loss"] == pytest.approx(loss, abs=1e-5)


def test_peft_is_unwrapped(tmp_path):
    peft = pytest.importorskip("peft", reason="peft is not installed")
    model = peft.get_peft_model(BertForMaskedLM(CONFIG), peft.LoraConfig(target_modules=["query"], r=2))
    trainer = make_trainer(tmp_path, model, rows(), max_steps=1)
    trainer.train()
    assert is_patched(model)
    assert any(p.abs().sum() > 0 for name, p in model.named_parameters() if "lora_B" in name)


def test_twice_is_once(tmp_path):
    table = dict(monkey_patch.MODEL_TYPE_TO_APPLY_LIGER_FN)
    register_with_liger()
    assert table == monkey_patch.MODEL_TYPE_TO_APPLY_LIGER_FN
    assert set(families.known_model_types()) <= set(table)
    model = BertForMaskedLM(CONFIG)
    trainer = make_trainer(tmp_path, model, rows(), max_steps=1)
    trainer.train()
    trainer.train()
    assert trainer.state.log_history[-1]["train_loss"] > 0


def test_what_liger_has_stays_its_own():
    own = monkey_patch.MODEL_TYPE_TO_APPLY_LIGER_FN["llama"]
    families.register_model_family("llama", backbone=lambda m: m.model, head=lambda m: m.lm_head)
    try:
        register_with_liger()
    finally:
        del families._FAMILIES["llama"]
    assert monkey_patch.MODEL_TYPE_TO_APPLY_LIGER_FN["llama"] is own


def test_a_copy_of_a_patched_model_is_a_model_of_its_own():
    model = BertForMaskedLM(CONFIG)
    apply_to_instance(model=model)
    twin = copy.deepcopy(model)
    ids = torch.randint(V, (2, L))
    twin(input_ids=ids, labels=ids).loss.backward()
    assert twin.bert.embeddings.word_embeddings.weight.grad is not None
    assert model.bert.embeddings.word_embeddings.weight.grad is None


def test_the_kernel_configuration(tmp_path):
    model = BertForMaskedLM(CONFIG)
    config = {"fused_linear_cross_entropy": False, "rope": False}
    make_trainer(tmp_path, model, rows(), max_steps=1, liger_kernel_config=config).train()
    assert not is_patched(model)
    trainer = make_trainer(tmp_path, model, rows(), liger_kernel_config={"rope": True, "swiglu": True})
    with pytest.raises(ValueError, match="no kernel rope, swiglu, only fused_linear_cross_entropy"):
        trainer.train()


def test_bad_input_is_named(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="BertForSequenceClassification has no language-model head"):
        apply_to_instance(model=BertForSequenceClassification(CONFIG))
    with pytest.raises(ValueError, match="pass model="):
        apply_to_instance()
    monkeypatch.setitem(sys.modules, "liger_kernel.transformers.monkey_patch", None)
    with pytest.raises(ImportError, match="pip install 'liger-kernel"):
        register_with_liger()
