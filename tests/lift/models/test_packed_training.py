"""Training on packed rows: the step is that of the examples alone, and a resumed run is the same run."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from lift import LiftError, LiftTrainer, pack_dataset
from lift.models import attention
from lift.objectives.forward_process import step_seed
from lift.tasks import sudoku
from lift_kernels import TokenStats
from tests.lift.models.packed_examples import alone, boundaries, build
from tests.lift.support.tiny import tiny_config, uneven_rows
from tests.transformers_version import needs_packing


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
    draws = trainer._batches.draw(batch, seed)
    truth = trainer._normalised(trainer._batches.build(batch, draws, seed, model)).batch
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
    monkeypatch.setattr(attention, "PACKABLE_MODELS", ("albert",))
    with pytest.raises(LiftError, match="model type 'bert' is not: set packing=False"):
        packing_trainer(tmp_path, build("bert"))
