"""The patch on real transformers classes, against the same model's own logits."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from transformers import (
    BertConfig,
    BertForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
    ModernBertConfig,
    ModernBertForMaskedLM,
    Trainer,
    TrainingArguments,
)

from lift_kernels import apply_lift_kernels, reference, register_model_family, remove_lift_kernels
from lift_kernels.models import OneForward, Uncast, families
from lift_kernels.models.patch import is_patched
from tests.lift_kernels.tiny_models import LogitsSeen

V, L = 99, 12


def bert() -> BertForMaskedLM:
    config = BertConfig(
        vocab_size=V, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48,
        max_position_embeddings=L, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    return BertForMaskedLM(config)


def modernbert() -> ModernBertForMaskedLM:
    config = ModernBertConfig(
        vocab_size=V, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48,
        max_position_embeddings=L, pad_token_id=0, bos_token_id=None, eos_token_id=None, cls_token_id=None,
        sep_token_id=None,
    )  # fmt: skip
    return ModernBertForMaskedLM(config)


MODELS = {"bert": bert, "modernbert": modernbert}


@pytest.fixture(params=MODELS.values(), ids=MODELS)
def model(request) -> nn.Module:
    model = request.param()
    with torch.no_grad():  # a fresh bias is zero: it must be seen to count
        model.get_output_embeddings().bias.normal_()
    return model.double()


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    labels = torch.randint(V, (3, L)).where(torch.rand(3, L) < 0.5, -100)
    attention_mask = torch.ones(3, L, dtype=torch.int64)
    attention_mask[1, L - 3 :] = 0
    return {"input_ids": torch.randint(V, (3, L)), "attention_mask": attention_mask, "labels": labels}


def gradients(model: nn.Module, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters()}


def test_loss_and_every_gradient_equal_those_of_the_logits(model, batch):
    token_weight, denominator = torch.rand(3, L).double() * 10, 17.0
    logits = model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    nll = nn.functional.cross_entropy(logits.flatten(0, 1), batch["labels"].flatten(), reduction="none")
    expected_loss = (nll * token_weight.flatten()).sum() / denominator
    expected = gradients(model, expected_loss)
    expected_stats = reference.linear_token_stats(logits, torch.eye(V).double(), batch["labels"])

    apply_lift_kernels(model)
    outputs = model(**batch, token_weight=token_weight, denominator=denominator, return_token_stats=True)
    torch.testing.assert_close(outputs.loss, expected_loss)
    ours = gradients(model, outputs.loss)
    assert ours.keys() == expected.keys()
    for name, gradient in ours.items():
        torch.testing.assert_close(gradient, expected[name], msg=name)
    assert outputs.logits is None
    for values, truth in zip(outputs.token_stats, expected_stats, strict=True):
        assert values.shape == (3, L)
        torch.testing.assert_close(values, truth)


@pytest.mark.parametrize("learnability", ["hard", "soft"])
def test_the_one_forward_objective_equals_that_of_the_logits(model, batch, learnability):
    num_masked = (batch["labels"] != -100).sum(1)
    lift = {
        "timestep": torch.tensor([0.9, 0.5, 0.1]), "num_keep": num_masked // 2, "order": torch.tensor([1, 0, -1]),
        "learnability": learnability, "seed": 3,
    }  # fmt: skip
    logits = model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    expected_loss, expected_c = reference.lift_cross_entropy(
        logits,
        torch.eye(V).double(),
        batch["labels"],
        denominator=17.0,
        **(lift | {"timestep": lift["timestep"].double()}),
    )
    expected = gradients(model, expected_loss)
    apply_lift_kernels(model)
    for form in (OneForward(**lift), Uncast(lift), Uncast(OneForward(**lift))):
        assert torch.equal(
            model(**batch, denominator=17.0, lift=form).loss, model(**batch, denominator=17.0, lift=lift).loss
        )
    outputs = model(**batch, denominator=17.0, lift=lift)
    torch.testing.assert_close(outputs.loss, expected_loss)
    torch.testing.assert_close(outputs.learnability.double(), expected_c)
    for name, gradient in gradients(model, outputs.loss).items():
        torch.testing.assert_close(gradient, expected[name], msg=name)
    assert outputs.token_stats.log_prob.shape == (3, L) and outputs.logits is None
    with pytest.raises(ValueError, match="token_weight must be None with lift"):
        model(**batch, lift=lift, token_weight=torch.ones(3, L))


def test_logits_are_never_built(model, batch):
    with LogitsSeen(3 * L, V) as unpatched:
        model(batch["input_ids"])
    apply_lift_kernels(model)
    with LogitsSeen(3 * L, V) as patched:
        model(**batch).loss.backward()
    assert unpatched.found and not patched.found


def test_the_transform_sees_only_labelled_rows(model, batch):
    apply_lift_kernels(model)
    seen = []
    transform = model.cls.predictions.transform if hasattr(model, "cls") else model.head
    transform.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[0]))
    model(**batch)
    assert seen == [(batch["labels"] != -100).sum().item()]


def test_no_label_gives_a_connected_zero(model, batch):
    apply_lift_kernels(model)
    loss = model(batch["input_ids"], labels=torch.full((3, L), -100)).loss
    assert loss.item() == 0
    for name, gradient in gradients(model, loss).items():
        assert not gradient.any(), name


def test_a_call_without_labels_and_a_removed_patch_are_unchanged(model, batch):
    before = model(batch["input_ids"], batch["attention_mask"]).logits
    plain = model(**batch).loss
    own_forward = model.forward
    apply_lift_kernels(apply_lift_kernels(model))
    assert is_patched(model)
    assert torch.equal(model(batch["input_ids"], batch["attention_mask"]).logits, before)
    torch.testing.assert_close(
        model(**batch).loss, plain, check_dtype=False, rtol=1e-6, atol=0
    )  # ModernBERT's is float32
    remove_lift_kernels(remove_lift_kernels(model))
    assert not is_patched(model) and model.forward == own_forward
    assert model(**batch).logits is not None


def test_a_forward_that_was_already_replaced_comes_back(model, batch):
    inner = model.forward
    model.forward = lambda *args, **kwargs: (inner(*args, **kwargs), "replaced")
    replaced = model.forward
    apply_lift_kernels(model)
    assert model(batch["input_ids"])[1] == "replaced"
    assert remove_lift_kernels(model).forward is replaced


def test_a_deep_copy_is_patched_and_independent(model, batch):
    twin = copy.deepcopy(apply_lift_kernels(model))
    with torch.no_grad():
        twin.get_output_embeddings().bias.add_(torch.randn(V))
    assert not torch.equal(twin(**batch).loss, model(**batch).loss)
    assert model.state_dict().keys() == twin.state_dict().keys()


def test_a_saved_model_loads_without_us(model, batch, tmp_path):
    expected = apply_lift_kernels(model)(**batch).loss
    model.save_pretrained(tmp_path)
    loaded = type(model).from_pretrained(tmp_path, dtype=torch.float64)
    torch.testing.assert_close(loaded(**batch).loss, expected, check_dtype=False, rtol=1e-6, atol=0)


def test_wrapped_models_are_patched_inside(model, batch):
    wrapped = nn.ModuleDict({"module": model})  # as DistributedDataParallel holds it
    wrapped.module = model
    assert apply_lift_kernels(wrapped) is wrapped and is_patched(model)


def test_an_unknown_family_is_named_and_can_be_added(batch, monkeypatch):
    monkeypatch.setattr(families, "_FAMILIES", dict(families._FAMILIES))
    config = GPT2Config(vocab_size=V, n_embd=16, n_layer=1, n_head=2, n_positions=L, bos_token_id=0, eos_token_id=0)
    model = GPT2LMHeadModel(config).eval()
    with pytest.raises(
        ValueError,
        match=r"model type 'gpt2' \(GPT2LMHeadModel\) is not known, only .*bert.*, modernbert.*. Add it with",
    ):
        apply_lift_kernels(model)
    register_model_family("gpt2", backbone=lambda m: m.transformer, head=lambda m: m.lm_head)
    logits = model(batch["input_ids"]).logits
    expected = nn.functional.cross_entropy(logits.flatten(0, 1), batch["labels"].flatten())
    apply_lift_kernels(model)
    torch.testing.assert_close(model(batch["input_ids"], labels=batch["labels"]).loss, expected)


def test_bad_calls_are_named(model, batch):
    apply_lift_kernels(model)
    with pytest.raises(ValueError, match="need labels"):
        model(batch["input_ids"], return_token_stats=True)
    with pytest.raises(
        ValueError, match=rf"labels must have shape \(3, {L}\) to match hidden_states \(3, {L}, 32\), got \(3, 2\)"
    ):
        model(batch["input_ids"], labels=batch["labels"][:, :2])


def test_a_head_that_is_no_plain_linear_layer_is_refused(model):
    class Quantised(nn.Linear):
        def forward(self, inputs):
            return super().forward(inputs.round())

    head = Quantised(32, V).double()
    head.weight = model.get_output_embeddings().weight
    model.set_output_embeddings(head)
    with pytest.raises(
        ValueError, match=r"must be a plain nn.Linear \(or the tied nn.Embedding\), got Quantised. Keep adapters"
    ):
        apply_lift_kernels(model)


@pytest.mark.parametrize("accumulation", [1, 4])
def test_a_plain_trainer_takes_one_step_however_it_is_split(model, tmp_path, accumulation):
    """transformers' Trainer hands the number of labels of the whole step to a forward that takes any keyword, which
    the patched one says it does whatever the model's own takes."""
    rows = [{"input_ids": torch.randint(V, (L,)), "labels": torch.randint(V, (L,))} for _ in range(4)]
    for i, row in enumerate(rows):
        row["labels"][: 2 * i] = -100  # micro-batches of different size
    twin = copy.deepcopy(model)
    logits = twin(torch.stack([row["input_ids"] for row in rows])).logits
    nn.functional.cross_entropy(logits.flatten(0, 1), torch.cat([row["labels"] for row in rows])).backward()
    args = TrainingArguments(
        output_dir=str(tmp_path), per_device_train_batch_size=4 // accumulation, max_steps=1, optim="sgd",
        gradient_accumulation_steps=accumulation, learning_rate=0.1, lr_scheduler_type="constant", max_grad_norm=0.0,
        save_strategy="no", report_to="none", disable_tqdm=True, use_cpu=True, dataloader_pin_memory=False,
    )  # fmt: skip
    Trainer(apply_lift_kernels(model), args, train_dataset=rows).train()
    for (name, ours), theirs in zip(model.named_parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs - 0.1 * theirs.grad, msg=name)
