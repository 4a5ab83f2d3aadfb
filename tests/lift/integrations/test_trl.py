"""`LiftSFTTrainer` on the real TRL, against LiftTrainer and against logits."""

from __future__ import annotations

import copy
import sys

import pytest
import torch
from datasets import Dataset

from lift import LiftError
from tests.lift.support.labelled import (
    SPLITS,
    Shifted,
    assert_same_run,
    labelled_rows,
    prompts_and_completions,
    split,
    tiny_dream,
    tokenizer_with_end,
    watch_logits,
    weights,
    weights_of_lift_trainer,
)
from tests.lift.support.oracle import loss_by_description
from tests.lift.support.tiny import tiny_config, tiny_model

pytest.importorskip("trl", reason="trl is not installed")

from trl import SFTConfig

from lift.integrations.trl import LiftSFTConfig, LiftSFTTrainer
from tests.lift.support.trl_trainer import make_config, make_trainer


@pytest.mark.parametrize("method", ["sft", "lift3"])
def test_prompt_and_completion_give_the_loss_of_the_description(tmp_path, method):
    model = tiny_model()
    twin = copy.deepcopy(model).eval()
    trainer = make_trainer(tmp_path, prompts_and_completions(), model=model, method=method)
    inputs = trainer.data_collator(list(trainer.train_dataset))
    # Clues of 16 tokens; a solution of 16 and TRL's end of sequence may be masked.
    assert inputs["maskable"].tolist() == [[False] * 16 + [True] * 17] * 24
    assert inputs["example_id"].tolist() == list(range(24))
    truth, _ = loss_by_description(twin, inputs, trainer.args)
    loss = trainer.compute_loss(model.train(), inputs)
    torch.testing.assert_close(loss, truth, rtol=1e-5, atol=1e-5)
    loss.backward()
    truth.backward()
    for (name, ours), theirs in zip(model.named_parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-5, msg=name)


def test_a_model_that_predicts_the_next_token_never_masks_the_first(tmp_path):
    model = tiny_dream()
    twin = copy.deepcopy(model).eval()
    rows = Dataset.from_list([{"text": puzzle["completion"]} for puzzle in prompts_and_completions()])
    trainer = make_trainer(tmp_path, rows, model=model, method="lift3")
    inputs = trainer.data_collator(list(trainer.train_dataset))
    assert inputs["maskable"].tolist() == [[False] + [True] * 16] * 24
    truth, _ = loss_by_description(Shifted(twin), inputs, trainer.args)
    torch.testing.assert_close(trainer.compute_loss(model.train(), inputs), truth, rtol=1e-5, atol=1e-5)


def test_messages_mask_the_turns_of_the_assistant(tmp_path):
    turns = [("user", "12"), ("assistant", "34"), ("user", "1"), ("assistant", "432")]
    rows = Dataset.from_list([{"messages": [{"role": role, "content": text} for role, text in turns]}] * 4)
    trainer = make_trainer(tmp_path, rows, assistant_only_loss=True, method="sft", max_steps=1)
    batch = trainer.data_collator(list(trainer.train_dataset))
    assert batch["maskable"][0].tolist() == [False, False, True, True, False, True, True, True]
    trainer.train()
    assert trainer.state.log_history[0]["loss"] > 0


@pytest.mark.parametrize("size_and_accumulation", SPLITS, ids=str)
def test_a_run_is_that_of_lift_trainer_however_its_steps_are_split(tmp_path, size_and_accumulation):
    options = {"method": "lift3", "pad_in_loss": False, "loss_normalizer": "sequence"}
    trainer = make_trainer(tmp_path, labelled_rows(), **split(*size_and_accumulation), **options)
    trainer.train()
    assert_same_run(weights(trainer.model), weights_of_lift_trainer(tmp_path, **options))


@pytest.mark.parametrize(
    "options",
    [
        {"score_source": "cache"},
        {"score_source": "frequency"},
        {"complementary": True},
        {"method": "gift"},
        {"method": "puma"},
    ],
    ids=str,
)
def test_what_needs_the_whole_step_or_data_set_works_too(tmp_path, options):
    options = {"pad_in_loss": False, **options}
    trainer = make_trainer(tmp_path, labelled_rows(), **options)
    trainer.train()
    assert_same_run(weights(trainer.model), weights_of_lift_trainer(tmp_path, **options))


def test_no_logits_in_training_and_evaluation(tmp_path):
    trainer = make_trainer(tmp_path, prompts_and_completions())
    calls = watch_logits(trainer.model)
    trainer.train()
    assert trainer.evaluate()["eval_loss"] > 0
    assert trainer.evaluate(prompts_and_completions().select(range(3)))["eval_loss"] > 0
    assert not calls
    assert {"loss", "nll", "easy", "mean_rho"} <= trainer.state.log_history[0].keys()


def test_an_adapter_of_trls_making_is_trained(tmp_path):
    peft = pytest.importorskip("peft", reason="peft is not installed")
    adapter = peft.LoraConfig(target_modules=["Wqkv"], r=2)
    trainer = make_trainer(tmp_path, prompts_and_completions(), peft_config=adapter)
    trainer.train()
    assert any(p.abs().sum() > 0 for name, p in trainer.model.named_parameters() if "lora_B" in name)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"method": "nonsense"}, "method must be one of"),
        ({"packing": True}, "packing, eval_packing and padding_free must be False"),
        ({"eval_packing": True}, "packing, eval_packing and padding_free must be False"),
        ({"label_smoothing_factor": 0.1}, "label_smoothing_factor=.* has no effect"),
        ({"loss_type": "dft"}, "loss_type=dft is TRL's own loss"),
        ({"remove_unused_columns": True}, "remove_unused_columns must be False"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, options, sentence):
    with pytest.raises(LiftError, match=sentence):
        make_config(tmp_path, **options)


def test_without_a_tokenizer_or_without_trl_the_remedy_is_named(tmp_path, monkeypatch):
    with pytest.raises(LiftError, match="pass processing_class=tokenizer"):
        LiftSFTTrainer(model=tiny_model(), args=make_config(tmp_path), train_dataset=prompts_and_completions())
    monkeypatch.setitem(sys.modules, "trl", None)
    monkeypatch.delitem(sys.modules, "lift.integrations.trl")
    with pytest.raises(ImportError, match="pip install 'trl"):
        import lift.integrations.trl  # noqa: F401


def test_the_example_of_the_guide_trains_on_a_cpu(tmp_path):
    """TRL's own default, bf16, is refused by transformers where there is no accelerator."""
    if torch.accelerator.is_available():
        pytest.skip("this machine has an accelerator")
    args = LiftSFTConfig(output_dir=str(tmp_path), method="lift3", max_steps=1, report_to="none")
    assert (args.use_cpu, args.bf16) == (True, False)
    assert LiftSFTConfig(output_dir=str(tmp_path), bf16=True).bf16
    trainer = LiftSFTTrainer(
        model=tiny_model(), args=args, train_dataset=prompts_and_completions(), processing_class=tokenizer_with_end()
    )
    assert trainer.train().training_loss > 0


def without_end(**special):
    tokenizer = tokenizer_with_end()
    for name, token in ({"eos_token": None} | special).items():
        setattr(tokenizer, name, token)
    return tokenizer


def test_a_tokenizer_without_an_eos_token(tmp_path):
    def make(tokenizer, rows=None, **options):
        return LiftSFTTrainer(
            model=tiny_model(), args=make_config(tmp_path, **options), processing_class=tokenizer,
            train_dataset=prompts_and_completions() if rows is None else rows,
        )  # fmt: skip

    end = tokenizer_with_end().eos_token
    for tokenizer, options in ((without_end(sep_token=end), {}), (without_end(), {"eos_token": end})):
        trainer = make(tokenizer, **options)
        assert {row["input_ids"][-1] for row in trainer.train_dataset} == {tokenizer.convert_tokens_to_ids(end)}
    with pytest.raises(LiftError, match="has no eos token, which TRL puts behind each text: set"):
        make(without_end())
    with pytest.raises(LiftError, match="eos_token must be one of the tokenizer's tokens, got '<end>'"):
        make(without_end(), eos_token="<end>")
    assert make(without_end(), labelled_rows())  # which end as they do


def test_arguments_of_another_kind(tmp_path):
    given = {
        "model": tiny_model(), "args": make_config(tmp_path), "train_dataset": labelled_rows(),
        "processing_class": tokenizer_with_end(),
    }  # fmt: skip
    cases = {
        "args must be a LiftSFTConfig, got SFTConfig": {"args": SFTConfig(str(tmp_path), bf16=False, use_cpu=True)},
        "args must be a LiftSFTConfig, got LiftConfig": {"args": tiny_config(tmp_path)},
        "pass model, not model_init": {"model": None, "model_init": tiny_model},
        "train_dataset is several data sets": {"train_dataset": {"train": labelled_rows()}},
        "compute_metrics would never be called": {"compute_metrics": lambda prediction: {}},
    }
    for sentence, other in cases.items():
        with pytest.raises(LiftError, match=sentence):
            LiftSFTTrainer(**(given | other))
