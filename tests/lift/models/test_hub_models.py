"""LiftTrainer on doubles of the Hub's models: shifted labels, the masks they take, adapters, packing, sampling."""

from __future__ import annotations

import math

import peft
import pytest
import torch

from lift import LiftError, LiftTrainer, generate
from lift.learnability.scoring import score_rows
from lift.models.attention import mask_as_taken
from lift.tasks import sudoku
from lift.training.config import LiftConfig
from lift_kernels import apply_lift_kernels, remove_lift_kernels
from lift_kernels.models import family_of, unwrap_model
from lift_kernels.testing import logits_loss
from tests.lift.support.tiny import tiny_config, uneven_rows
from tests.lift.support.trainers import training_batch
from tests.lift_kernels.tiny_models import Sizes, build, expect_equal, gradients, own_logits

VOCABULARY = 8  # the Sudoku tokenizer's
SIZES = Sizes(vocab=VOCABULARY, width=16, rows=4, length=24)
HUB_MODELS = ("llada", "llada-tied-scaled", "llada-moe", "llada2", "dream")


def trainer_of(name: str, out, *, rows=None, adapt: bool = False, **options) -> LiftTrainer:
    torch.manual_seed(0)
    model = build(name, torch.float64, SIZES)
    model.config.use_cache = False
    if adapt:
        targets = ["q_proj"] if "llada" in name and "moe" not in name and name != "llada2" else "all-linear"
        config = peft.LoraConfig(r=2, target_modules=targets, lora_dropout=0.0)
        model = peft.get_peft_model(model, config, autocast_adapter_dtype=False)
    return LiftTrainer(
        model=model,
        args=tiny_config(out, **options),
        train_dataset=uneven_rows(12) if rows is None else rows,
        eval_dataset=uneven_rows(6),
        processing_class=sudoku.build_tokenizer(),
    )


def micro_batch(trainer: LiftTrainer) -> dict:
    return trainer.data_collator([trainer.train_dataset[i] for i in range(4)])


@pytest.mark.parametrize("adapt", [False, True], ids=["whole", "adapter"])
@pytest.mark.parametrize("pad_in_loss", [True, False])
@pytest.mark.parametrize("name", HUB_MODELS)
def test_the_loss_and_gradients_of_a_step_are_those_of_the_logits(tmp_path, name, pad_in_loss, adapt):
    trainer = trainer_of(name, tmp_path, method="lift3", attention="full", pad_in_loss=pad_in_loss, adapt=adapt)
    inputs, model = micro_batch(trainer), trainer.model
    model.eval()
    prepared = training_batch(trainer, inputs, model)
    batch = trainer._normalised(prepared).batch
    loss = trainer.compute_loss(model, inputs)
    found = gradients(model, loss)
    remove_lift_kernels(model)
    call = {"input_ids": batch.input_ids}
    mask = mask_as_taken(family_of(unwrap_model(model)), inputs.get("attention_mask"), call["input_ids"])
    call |= {} if mask is None else {"attention_mask": mask}
    logits = own_logits(name, model, call)
    expected_loss = logits_loss(logits, batch.labels, batch.token_weight.double(), batch.denominator)
    torch.testing.assert_close(loss, expected_loss, rtol=1e-6, atol=0, check_dtype=False)
    expect_equal(found, gradients(model, expected_loss), 1e-5)


@pytest.mark.parametrize("name", HUB_MODELS)
def test_it_trains_evaluates_and_saves(tmp_path, name):
    trainer = trainer_of(name, tmp_path, max_steps=2, pad_in_loss=False)
    before = [p.clone() for p in trainer.model.parameters()]
    trainer.train()
    assert torch.isfinite(torch.tensor(trainer.evaluate()["eval_loss"]))
    assert any(not torch.equal(a, b) for a, b in zip(before, trainer.model.parameters(), strict=True))
    trainer.save_model()
    assert (tmp_path / "model.safetensors").is_file()


def rows_without_prompt() -> list[dict]:
    return [row | {"prompt_length": 0} for row in uneven_rows(12)]


def test_nothing_predicts_the_first_token_of_dream(tmp_path):
    trainer = trainer_of("dream", tmp_path, rows=rows_without_prompt(), pad_in_loss=False)
    inputs = micro_batch(trainer)
    assert not inputs["maskable"][:, 0].any() and inputs["maskable"][:, 1:].any(1).all()
    published = trainer_of("dream", tmp_path, rows=rows_without_prompt(), method="sft", shift_first="zeros")
    inputs = micro_batch(published)
    assert inputs["maskable"][:, 0].all()
    inputs["position"] = torch.arange(4)
    prepared = training_batch(published, inputs)
    batch = published._normalised(prepared).batch
    assert (batch.labels[:, 0] != -100).any()
    loss = published.compute_loss(published.model, inputs)
    remove_lift_kernels(published.model)
    logits = own_logits("dream", published.model, {"input_ids": batch.input_ids})  # all-zero at position 0
    expected = logits_loss(logits, batch.labels, batch.token_weight.double(), batch.denominator)
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=0, check_dtype=False)


@pytest.mark.parametrize("method", ["lift3", "easy", "gift", "cart"])
def test_every_method_runs_where_the_first_position_counts(tmp_path, method):
    """The scoring forward, too, gives it all-zero logits: log V nats."""
    trainer = trainer_of("dream", tmp_path, rows=rows_without_prompt(), method=method, shift_first="zeros", max_steps=2)
    trainer.train()
    ids = torch.randint(2, VOCABULARY, (2, 6))
    stats = score_rows(trainer.model, ids, ids, torch.arange(2), first_position="zeros")
    torch.testing.assert_close(stats.log_prob[:, 0], torch.full((2,), -math.log(VOCABULARY), dtype=torch.float64))
    assert stats.log_prob[:, 1:].ne(stats.log_prob[:, :1]).all()


@pytest.mark.parametrize("name", ["llada", "llada-moe"])
def test_padding_that_is_attended_to_is_pointed_out(name, tmp_path, caplog):
    with caplog.at_level("WARNING", "lift"):
        trainer_of(name, tmp_path, pad_in_loss=True)
        assert not caplog.messages
        trainer_of(name, tmp_path, pad_in_loss=False)
    assert "padding is attended to though pad_in_loss=False" in caplog.messages[0]


def test_lift_ignores_the_shift_where_the_published_code_does(tmp_path):
    trainer = trainer_of("dream", tmp_path, reference_quirks=True)
    assert trainer.args.lift_ignores_shift and trainer.args.shift_first == "zeros"
    inputs = micro_batch(trainer)
    trainer.model.eval()
    torch.manual_seed(1)  # the unordered subset of middle rows is drawn from torch's generator
    batch = trainer._normalised(training_batch(trainer, inputs)).batch
    torch.manual_seed(1)
    loss = trainer.compute_loss(trainer.model, inputs)
    remove_lift_kernels(trainer.model)
    logits = trainer.model(input_ids=batch.input_ids).logits  # as they come
    expected = logits_loss(logits, batch.labels, batch.token_weight.double(), batch.denominator)
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=0, check_dtype=False)


def test_options_of_the_shift_are_checked(tmp_path):
    with pytest.raises(LiftError, match="shift_first must be one of exclude, zeros, got 'ones'"):
        LiftConfig(output_dir=str(tmp_path), shift_first="ones")
    with pytest.raises(LiftError, match="shift_first=zeros has no one_forward form"):
        LiftConfig(output_dir=str(tmp_path), shift_first="zeros", one_forward=True)


@pytest.mark.parametrize("name", HUB_MODELS)
def test_a_patched_model_decodes_as_its_logits_do(name):
    """Dream's prediction for a token stands one position before it; LLaDA2 always wants a mask."""
    torch.manual_seed(0)
    model = build(name, torch.float64, SIZES).eval()
    prompt_ids = torch.randint(2, VOCABULARY, (2, 5))
    mask = torch.ones_like(prompt_ids)
    if family_of(model).attention_mask != "ignored":  # or a batch with padding is refused
        mask[0, 0] = 0
    options = {"gen_length": 6, "mask_token_id": 1, "attention_mask": mask}
    plain = generate(model, prompt_ids, **options)
    assert torch.equal(generate(apply_lift_kernels(model), prompt_ids, **options), plain)
    if name == "dream":  # the first step by hand: the most certain token, from the position before it
        frames = []
        generate(model, prompt_ids, on_step=lambda _, ids: frames.append(ids), **options)
        start = torch.cat([prompt_ids, torch.ones(2, 6, dtype=torch.int64)], 1)
        pairs = torch.cat([mask, torch.ones(2, 6, dtype=torch.int64)], 1).bool()[:, None, None, :].expand(2, 1, 11, 11)
        log_probs = model(input_ids=start, attention_mask=pairs).logits.log_softmax(-1)[:, 4:10]
        log_probs[..., 1] = -torch.inf
        best, token = log_probs.max(-1)
        for row in range(2):
            at = int(best[row].argmax())
            assert frames[0][row, 5 + at] == token[row, at]
