"""How masked tokens are scored: by the model without dropout and gradient, or by a source in its place."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch

from lift.objectives import EASY, HARD, MIDDLE, Draws, LiftOptions
from lift.training.scorer import Scorer, ScoringCall
from tests.lift.support.oracle import loss_by_description
from tests.lift.support.tiny import tiny_model, tiny_rows, uneven_rows
from tests.lift.support.trainers import (
    logits_of,
    make_trainer,
    micro_batch,
    training_batch,
)


@pytest.mark.parametrize("source", ["cache", "frequency"])
def test_a_score_source_replaces_the_scoring_forward(tmp_path, source, monkeypatch):
    trainer = make_trainer(tmp_path, method="lift2", score_source=source)
    monkeypatch.setattr(Scorer, "statistics", lambda *_: pytest.fail("the model was asked"))
    inputs = micro_batch(trainer)
    trainer.compute_loss(trainer.model, inputs)
    trainer._scorer.learn()
    known = trainer._scorer.source.score_batch(inputs["example_id"], inputs["input_ids"])
    prepared = training_batch(trainer, inputs)
    assert torch.equal(prepared.rejected_log_prob, known)
    if source == "cache":
        trained = prepared.batch.labels != -100
        log_probs = logits_of(trainer.model, training_batch(trainer, inputs).batch.input_ids)
        assert known.unique().numel() > 5 and trained.any() and log_probs.isfinite().all()
    else:
        counts = torch.stack([row for row in inputs["input_ids"]]).unique().numel()
        assert known.unique().numel() <= counts
    trainer.train()


def test_scoring_in_train_mode_and_in_the_dtype_of_the_logits(tmp_path):
    trainer = make_trainer(tmp_path, tiny_model(dropout=0.5), score_train_mode=True, score_dtype="logits")
    trainer._scorer.logits_dtype = torch.bfloat16
    model, inputs = trainer.model.train(), micro_batch(trainer, range(24))
    first, second = (training_batch(trainer, inputs, model).rejected_log_prob for _ in range(2))
    assert not torch.equal(first, second)  # dropout is on
    assert torch.equal(first, first.bfloat16().float())


def test_scoring_turns_dropout_off_and_leaves_no_trace(tmp_path):
    trainer = make_trainer(tmp_path, tiny_model(dropout=0.5))
    model, inputs = trainer.model.train(), micro_batch(trainer)
    model.model.embeddings.eval()  # a part that the user froze
    labels, rows = inputs["input_ids"].where(inputs["maskable"], -100), torch.tensor([0, 5])
    call = ScoringCall(trainer._scorer, model, model, inputs, trainer._batches.draw(inputs, 0))
    first, second = (trainer._scorer.statistics(call, inputs["input_ids"], labels, rows).log_prob for _ in range(2))
    assert torch.equal(first, second) and not first.requires_grad
    assert model.training and model.head.training and not model.model.embeddings.training
    assert first[rows].any(1).all() and not first[1:5].any()


def test_only_rows_that_rank_are_scored(tmp_path, monkeypatch):
    trainer = make_trainer(tmp_path)
    scored = []
    real = Scorer.statistics
    monkeypatch.setattr(Scorer, "statistics", lambda *a: scored.append(a[-1]) or real(*a))
    inputs = micro_batch(trainer, range(24))
    training_batch(trainer, inputs)
    _, modes = loss_by_description(copy.deepcopy(trainer.model), inputs, trainer.args)
    assert scored[0].tolist() == [i for i, mode in enumerate(modes) if mode != "middle"]


def test_an_evaluation_by_the_method_does_not_ask_the_cache_of_the_training_rows(tmp_path):
    """Its rows have the same numbers, and may be more."""
    options = {"method": "lift2", "eval_loss": "train", "max_steps": 2}
    cached = make_trainer(tmp_path, score_source="cache", **options)
    cached.train()
    plain, more = make_trainer(tmp_path, cached.model, **options), tiny_rows(30)
    assert cached.evaluate(more)["eval_loss"] == plain.evaluate(more)["eval_loss"]


def call_of(scorer: Scorer, **options) -> ScoringCall:
    """Four rows of which the second and the last rank; ids are on the host under their own names."""
    inputs = {
        "input_ids": torch.arange(12).view(4, 3) % 8, "example_id": torch.arange(4), "host_example_id": (5, 6, 7, 8),
    }  # fmt: skip
    draws = Draws(torch.ones(4), torch.ones(4), torch.zeros(4), torch.tensor([MIDDLE, EASY, MIDDLE, HARD]))
    return ScoringCall(scorer, torch.nn.Identity(), torch.nn.Identity(), inputs, draws, **options)


def test_a_source_learns_between_steps_and_not_within_one(tmp_path):
    """So that the micro-batches of a step do not score by those before them."""
    trainer = make_trainer(
        tmp_path, method="lift2", score_source="cache", max_steps=2, gradient_accumulation_steps=3,
        per_device_train_batch_size=2,
    )  # fmt: skip
    source, events = trainer._scorer.source, []
    score, update = source.score_batch, source.update
    source.score_batch = lambda *asked: events.append("score") or score(*asked)
    source.update = lambda *learned: events.append("learn") or update(*learned)
    trainer.train()
    assert events == ["score"] * 3 + ["learn"] * 3 + ["score"] * 3
    trainer._scorer.learn()
    assert events[9:] == ["learn"] * 3
    trainer._scorer.learn()
    assert len(events) == 12


class Table:
    """A score source that remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[list[int], torch.Tensor]] = []

    def score_batch(self, example_id, clean_ids):
        self.asked.append((example_id.tolist(), clean_ids))
        return torch.full(clean_ids.shape, -1 / 3)


@pytest.mark.parametrize(("num_processes", "rows"), [(1, [1, 3]), (2, [0, 1, 2, 3])])
def test_every_process_scores_as_often_as_the_others(monkeypatch, num_processes, rows):
    """So all rows where there are several: one whose rows all are middle ones would else run no forward."""
    scorer = Scorer(LiftOptions(), None, {}, num_processes=num_processes)
    asked = []
    monkeypatch.setattr(
        Scorer,
        "statistics",
        lambda _, call, ids, labels, rows: asked.append(rows) or SimpleNamespace(log_prob=ids * 1.0),
    )
    ids = torch.ones(4, 3)
    assert torch.equal(call_of(scorer).log_prob(ids, ids.long(), None), ids)
    assert [chosen.tolist() for chosen in asked] == [rows]


@pytest.mark.parametrize("score_source", ["cache", "frequency"])
@pytest.mark.parametrize("is_evaluation", [True, False])
def test_a_source_is_asked_by_the_ids_on_the_host_and_a_cache_not_in_evaluation(
    monkeypatch, score_source, is_evaluation
):
    source = Table()
    scorer = Scorer(LiftOptions(score_source=score_source), None, {}, source=source)
    monkeypatch.setattr(Scorer, "statistics", lambda *_: SimpleNamespace(log_prob=torch.zeros(4, 3)))
    call = call_of(scorer, is_evaluation=is_evaluation)
    log_prob = call.log_prob(torch.ones(4, 3), torch.ones(4, 3).long(), None)
    if is_evaluation and score_source == "cache":
        assert not source.asked and not log_prob.any()
    else:
        assert [ids for ids, _ in source.asked] == [[5, 6, 7, 8]] and (log_prob == torch.tensor(-1 / 3)).all()
        assert source.asked[0][1] is call.inputs["input_ids"]


@pytest.mark.parametrize(
    ("score_dtype", "logits_dtype", "score"),
    [
        ("float32", torch.bfloat16, torch.tensor(-1 / 3)),
        ("logits", torch.bfloat16, torch.tensor(-1 / 3).bfloat16().float()),
        ("logits", torch.float32, torch.tensor(-1 / 3)),
    ],
)
def test_scores_are_rounded_where_the_published_code_rounds(score_dtype, logits_dtype, score):
    scorer = Scorer(LiftOptions(score_dtype=score_dtype), None, {}, logits_dtype, source=Table())
    log_prob = call_of(scorer).log_prob(torch.ones(4, 3), torch.ones(4, 3).long(), None)
    assert log_prob.dtype == torch.float32 and (log_prob == score).all()


def test_scores_and_entropies_are_those_of_the_logits_without_padding(tmp_path):
    """On rows of unequal length, at large weights; entropies of every row, scores of those that rank."""
    model = tiny_model()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(8 if parameter.dim() > 1 else 1)
    trainer = make_trainer(tmp_path, model, pad_in_loss=False)
    inputs = trainer.data_collator(uneven_rows(12))
    labels = inputs["input_ids"].where(inputs["maskable"], -100)
    corrupted = inputs["input_ids"].masked_fill(inputs["maskable"], 1)
    call = ScoringCall(trainer._scorer, model, model, inputs, trainer._batches.draw(inputs, 0))
    with torch.no_grad():
        log_probs = model(corrupted, attention_mask=inputs["attention_mask"]).logits.log_softmax(-1)
    gold = log_probs.gather(-1, inputs["input_ids"][..., None])[..., 0]
    is_ranked = (call.draws.order != MIDDLE)[:, None] & inputs["maskable"]
    assert 0 < is_ranked.sum() < inputs["maskable"].sum()
    torch.testing.assert_close(call.log_prob(corrupted, labels, None), gold.where(is_ranked, 0), rtol=1e-4, atol=1e-4)
    entropy = -(log_probs.exp() * log_probs).sum(-1)
    torch.testing.assert_close(
        call.entropy(corrupted, labels)[inputs["maskable"]], entropy[inputs["maskable"]], rtol=1e-4, atol=1e-4
    )
