"""The test of truth of packing: real models predict of packed examples what they predict of each alone."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForMaskedLM, PreTrainedModel

from lift import LiftError, LiftTrainer, MaskedDiffusionCollator, pack_dataset
from lift.models import attention
from lift.models.attention import PACKABLE_MODELS, attention_arguments, check_packable
from lift.objectives.forward_process import step_seed
from lift.tasks import sudoku
from lift_kernels import TokenStats
from lift_kernels.models import family_of
from tests.lift.support.tiny import tiny_config, uneven_rows
from tests.transformers_version import needs_packing

SIZES = {
    "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3, "num_attention_heads": 2, "vocab_size": 8,
    "max_position_embeddings": 26, "pad_token_id": 0,
}  # fmt: skip
OWN_SIZES = {
    "albert": {"embedding_size": 16},
    "distilbert": {"dim": 16, "hidden_dim": 24, "n_layers": 3, "n_heads": 2},
    "electra": {"embedding_size": 16},
    # One layer sees all, two see 4 tokens to each side: fewer than an example has.
    "modernbert": {
        "local_attention": 8, "global_attn_every_n_layers": 3, "bos_token_id": None, "eos_token_id": None,
        "cls_token_id": None, "sep_token_id": None,
    },
}  # fmt: skip
DROPOUT = {
    name: 0.0
    for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout", "mlp_dropout")
}


def build(model_type: str, implementation: str = "sdpa") -> PreTrainedModel:
    """In float64, with weights so large that each token's prediction depends on all it attends to."""
    config = AutoConfig.for_model(model_type, **SIZES, **OWN_SIZES.get(model_type, {}), **DROPOUT)
    model = AutoModelForMaskedLM.from_config(config, attn_implementation=implementation).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.3)
    return model


def packed_batch(num_examples: int = 24, width: int = 40) -> dict[str, Any]:
    """Rows wider than max_position_embeddings, each with two examples or more, and with padding."""
    rows = pack_dataset(uneven_rows(num_examples), max_length=width)
    return MaskedDiffusionCollator(0, pad_in_loss=False, max_length=width + 3)(rows.to_list())


def boundaries(batch: dict[str, Any]) -> list[tuple[int, int, int]]:
    """(row, start, end) of each example, read off the positions: independent of what the collator was given."""
    found = []
    for row, (positions, mask) in enumerate(zip(batch["position_ids"], batch["attention_mask"][:, 0], strict=True)):
        starts = (positions == 0).nonzero()[:, 0].tolist()
        last = positions[mask[-1]]  # a block of padding stands at 0 throughout
        num_pads = len(last) if not last.any() else 0
        starts = [*starts[: len(starts) - num_pads], len(positions) - num_pads]
        found += [(row, start, end) for start, end in itertools.pairwise(starts)]
    return found


def alone(model: PreTrainedModel, ids: Tensor, batch: dict[str, Any]) -> Tensor:
    """Log-probabilities (B, L, V) with every example in a batch of its own, without mask and positions; 0 on pads."""
    found = torch.zeros(*ids.shape, SIZES["vocab_size"], dtype=torch.float64)
    for row, start, end in boundaries(batch):
        found[row, start:end] = model(input_ids=ids[row : row + 1, start:end]).logits[0].log_softmax(-1)
    return found


@needs_packing
@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("model_type", PACKABLE_MODELS)
def test_packed_examples_are_predicted_as_each_alone(model_type: str, implementation: str) -> None:
    model, batch = build(model_type, implementation), packed_batch()
    assert len(boundaries(batch)) == 24 > 2 * len(batch["input_ids"]) and not batch["maskable"][:, -1].any()
    ids = batch["input_ids"].masked_fill(batch["maskable"] & (torch.rand(batch["input_ids"].shape) < 0.5), 1)
    is_real = torch.zeros(ids.shape, dtype=torch.bool)
    for row, start, end in boundaries(batch):
        is_real[row, start:end] = True

    def error(**arguments: Any) -> float:
        log_probs = model(input_ids=ids, **arguments).logits.log_softmax(-1)
        return (log_probs - truth)[is_real].abs().max().item()

    with torch.no_grad():
        truth = alone(model, ids, batch)
        arguments = attention_arguments(family_of(model), model.config, batch)
        # ModernBERT's eager attention takes its softmax in float32 whatever the model's dtype.
        is_single = model_type == "modernbert" and implementation == "eager"
        assert error(**arguments) < (1e-5 if is_single else 1e-10)
        # and the comparison would notice: a mask that is dropped or that lets two examples mix, and running positions
        mixed = {**batch, "attention_mask": torch.ones_like(batch["attention_mask"])}
        assert error(**attention_arguments(family_of(model), model.config, mixed)) > 1e-3
        if model_type != "modernbert":  # whose positions are relative
            assert error(**{**arguments, "position_ids": arguments["position_ids"].flip(0)}) > 1e-3


@needs_packing
def test_rows_and_views_of_the_arguments() -> None:
    config, batch = build("roberta").config, packed_batch(12)
    whole, some = (
        attention_arguments(None, config, batch),
        attention_arguments(None, config, batch, rows=torch.tensor([2, 0])),
    )
    twice = attention_arguments(None, config, batch, views=2)
    for name, tensor in whole.items():
        assert torch.equal(some[name], tensor[[2, 0]]) and torch.equal(twice[name], torch.cat([tensor, tensor]))
    assert whole["position_ids"].min() == config.pad_token_id + 1
    plain = MaskedDiffusionCollator(0, pad_in_loss=False)(uneven_rows(3))
    assert attention_arguments(None, config, plain) == {"attention_mask": plain["attention_mask"]}
    assert attention_arguments(None, config, MaskedDiffusionCollator(0)(uneven_rows(3))) == {}


def test_models_that_may_mix_examples_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for model_type in ("llada", "Dream", "mpnet"):
        config = SimpleNamespace(model_type=model_type, _attn_implementation="sdpa")
        with pytest.raises(
            LiftError, match=rf"\(albert, bert, .*, and model type '{model_type}' is not: set packing=F"
        ):
            check_packable(config)
        with pytest.raises(LiftError, match="packing needs a model known to keep"):
            attention_arguments(None, config, packed_batch())
    config = SimpleNamespace(model_type="bert", _attn_implementation="flash_attention_2")
    with pytest.raises(LiftError, match=r"attn_implementation 'sdpa' or 'eager', got 'flash_attention_2': load it so"):
        check_packable(config)
    monkeypatch.setattr(attention.transformers, "__version__", "5.0.2")
    with pytest.raises(LiftError, match=r"packing needs transformers 5\.1 or newer, got 5\.0\.2: set packing=False"):
        check_packable(SimpleNamespace(model_type="bert", _attn_implementation="sdpa"))


def packing_trainer(tmp_path: Any, model: Any, **options: Any) -> LiftTrainer:
    options = {"packing": True, "pad_in_loss": False, "max_length": 40, **options}
    return LiftTrainer(
        model=model,
        args=tiny_config(tmp_path, **options),
        train_dataset=uneven_rows(),
        eval_dataset=uneven_rows(6),
        processing_class=sudoku.build_tokenizer(),
    )


@needs_packing
@pytest.mark.parametrize(
    "options",
    [
        {"method": "sft"},
        {"method": "lift3"},
        {"method": "lift3", "complementary": True},
        {"method": "gift"},
    ],
    ids=str,
)
@pytest.mark.parametrize("model_type", ["bert", "modernbert"])
def test_loss_and_gradients_are_those_of_the_examples_alone(
    tmp_path: Any, monkeypatch: Any, model_type: str, options: Any
) -> None:
    """At the same noise: the packed step's input cut into its examples, each through the model by itself."""
    model, twin = build(model_type), build(model_type)
    twin.load_state_dict(model.state_dict())
    trainer = packing_trainer(tmp_path, model, **options)
    batch = trainer.data_collator(trainer.train_dataset.to_list())
    assert len(boundaries(batch)) == 24
    seed = step_seed(trainer.args.seed, 0)

    def statistics(ids: Tensor, labels: Tensor, rows: Tensor) -> TokenStats:
        log_probs = alone(twin, ids, batch).detach()
        gold = log_probs.gather(-1, labels.clamp(min=0)[..., None])[..., 0]
        entropy = -(log_probs.exp() * log_probs).sum(-1)
        return TokenStats(gold.float(), gold, entropy.float(), gold, labels)

    monkeypatch.setattr(trainer._scorer, "statistics", lambda *args: statistics(*args[-3:]))
    draws = trainer._step.draw(batch, seed)
    truth = trainer._normalised(trainer._step.training_batch(model, batch, draws, seed)).batch
    monkeypatch.undo()
    views = len(truth.input_ids) // len(batch["input_ids"])
    loss = trainer.compute_loss(model, batch)
    twice = {name: torch.cat([batch[name]] * views) for name in ("position_ids", "attention_mask")}
    gold = alone(twin, truth.input_ids, twice).gather(-1, truth.labels.clamp(min=0)[..., None])[..., 0]
    expected = -(gold * truth.token_weight * (truth.labels != -100)).sum() / truth.denominator
    torch.testing.assert_close(loss.double(), expected, rtol=1e-6, atol=1e-6)
    loss.backward()
    expected.backward()
    for (name, ours), theirs in zip(model.named_parameters(), twin.parameters(), strict=True):
        assert (ours.grad is None) == (theirs.grad is None), name
        if ours.grad is not None:
            torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-5, atol=1e-6, msg=name)


@needs_packing
@pytest.mark.parametrize("score_source", ["model", "cache", "frequency"])
def test_a_resumed_packed_run_is_the_same_run_to_the_bit(tmp_path: Any, score_source: str) -> None:
    """9 rows of up to 40 tokens are 3 steps an epoch; a cache then knows the rows from the epoch before."""
    options = {"score_source": score_source, "max_steps": 7, "save_strategy": "steps", "save_steps": 4}
    whole = packing_trainer(tmp_path / "whole", build("bert").float(), **options)
    assert len(whole.train_dataset) < 12 and whole.train_dataset["segment_lengths"]
    whole.train()
    resumed = packing_trainer(tmp_path / "resumed", build("bert").float(), **options)
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-4"))
    assert all(map(torch.equal, whole.model.parameters(), resumed.model.parameters()))
    assert whole.evaluate()["eval_loss"] == resumed.evaluate()["eval_loss"]


@needs_packing
def test_a_cache_remembers_packed_tokens_in_their_places(tmp_path: Any) -> None:
    trainer = packing_trainer(tmp_path, build("bert").float(), score_source="cache", max_steps=9)
    trainer.train()
    batch = trainer.data_collator(trainer.train_dataset.to_list())
    never = trainer._scorer.source.scores(torch.tensor([0]), 1)  # the mean: example 0 is not the first of its row
    assert 0 not in batch["host_example_id"]
    known = trainer._scorer.source.score_batch(torch.tensor(batch["host_example_id"]), batch["input_ids"]) != never
    assert known.any(1).all() and not known[~batch["maskable"]].any()


@needs_packing
def test_frequencies_of_packed_rows_are_those_of_their_examples(tmp_path: Any) -> None:
    tables = [
        packing_trainer(tmp_path, build("bert"), score_source="frequency", packing=packing)._scorer.source.log_frequency
        for packing in (True, False)
    ]
    assert torch.equal(*tables)


@needs_packing
def test_what_packing_does_not_go_with(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LiftError, match="packing leaves no padding to train on: set pad_in_loss=False, or packing=F"):
        tiny_config(tmp_path, packing=True)
    with pytest.raises(LiftError, match="method='cart' weighs a token by its row's context, and packing would mix in"):
        tiny_config(tmp_path, packing=True, pad_in_loss=False, method="cart")
    with pytest.raises(LiftError, match=r"example \d+ has \d+ tokens, more than max_length=10 of packing"):
        packing_trainer(tmp_path, build("bert"), max_length=10)
    with pytest.raises(LiftError, match="train_dataset is packed: set packing=True and pad_in_loss=False"):
        LiftTrainer(
            model=build("bert"), args=tiny_config(tmp_path), train_dataset=pack_dataset(uneven_rows(), max_length=40),
            processing_class=sudoku.build_tokenizer(),
        )  # fmt: skip
    monkeypatch.delitem(PACKABLE_MODELS, "bert")
    with pytest.raises(LiftError, match="model type 'bert' is not: set packing=False"):
        packing_trainer(tmp_path, build("bert"))
