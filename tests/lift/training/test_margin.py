"""The method that keeps the tokens between whose two likeliest predictions the model can hardly choose."""

from __future__ import annotations

import pytest
import torch

from lift.errors import LiftError
from lift.objectives import LiftOptions
from lift_kernels import apply_lift_kernels, linear_token_stats
from tests.lift.support.tiny import tiny_model
from tests.lift.support.trainers import logits_of, trainer_of_uneven_rows, training_batch
from tests.lift_kernels.tiny_models import Sizes, build, own_logits


def test_the_tokens_of_the_least_margin_are_kept(tmp_path):
    trainer = trainer_of_uneven_rows(tmp_path, method="margin", pad_in_loss=False)
    inputs = trainer.data_collator([trainer.train_dataset[i] for i in range(8)])
    prepared = training_batch(trainer, inputs)
    is_kept = prepared.batch.labels != -100
    is_masked = is_kept | prepared.rejected
    assert prepared.rejected_log_prob is None and (prepared.draws.order == -1).all()
    model, chosen = tiny_model(), 0
    for row, length in enumerate(inputs["lengths"]):
        ids = inputs["input_ids"][row].masked_fill(is_masked[row], trainer.mask_token_id)[None, :length]
        best = logits_of(model, ids)[0].softmax(-1).topk(2).values
        margin = best[:, 0] - best[:, 1]
        kept, rejected = is_kept[row, :length], prepared.rejected[row, :length]
        if kept.any() and rejected.any():
            chosen += 1
            assert margin[kept].max() <= margin[rejected].min() + 1e-6
    assert chosen >= 5
    trainer.train()


@pytest.mark.parametrize("name", ["bert", "dream"])
@pytest.mark.parametrize("first_position", ["ignore", "zeros"])
def test_a_patched_model_tells_the_runner_up(name, first_position):
    sizes = Sizes()
    model, inputs = build(name), {"input_ids": torch.randint(60, (3, 12))}
    labels = torch.randint(60, (3, 12)).where(torch.rand(3, 12) < 0.6, -100)
    labels[:, 0] = 3
    logits = own_logits(name, model, inputs).detach()
    expected = linear_token_stats(logits, torch.eye(sizes.vocab, dtype=logits.dtype), labels, runner_up=True)
    apply_lift_kernels(model)
    call = inputs | {"labels": labels, "denominator": 2.0, "return_token_stats": True, "first_position": first_position}
    with torch.no_grad():
        found, plain = model(**call, runner_up=True), model(**call)
    torch.testing.assert_close(found.loss, plain.loss)
    first = 1 if name == "dream" and first_position == "ignore" else 0
    for ours, theirs in zip(found.token_stats, expected, strict=True):
        torch.testing.assert_close(ours[:, first:], theirs[:, first:])
    with pytest.raises(ValueError, match=r"runner_up needs return_token_stats, torch\.no_grad\(\) and no lift"):
        model(**call, runner_up=True)


def test_it_needs_the_scoring_forward():
    for options in ({"one_forward": True}, {"score_source": "frequency"}):
        with pytest.raises(LiftError, match="asks the model for two predictions of each token"):
            LiftOptions(method="margin", **options).resolve_options()
