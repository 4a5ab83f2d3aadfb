"""Log-probabilities of masked tokens: those of the model's own logits, whatever shares a forward."""

from __future__ import annotations

import pytest
import torch

from lift.errors import LiftError
from lift.evaluation.likelihood import plan_masks
from lift.evaluation.masked_scores import MaskedScorer, MaskedText
from lift.models.batches import BatchSize
from lift.models.training_record import record_mask_token
from lift_kernels import apply_lift_kernels
from tests.lift.support.tiny import tiny_model

MASK = 1
TEXTS = [([2, 7, 4], [5, 3, 2, 6]), ([], [4, 4]), ([6, 5], [2, 3, 4, 5, 6]), ([3], [2]), ([2, 2], [6, 6, 6, 6, 6])]


def texts():
    return [
        MaskedText(a, b, plan_masks(len(b), seed=i, num_forwards=20, num_replicates=2))
        for i, (a, b) in enumerate(TEXTS)
    ]


def scores(model, batch_size):
    return dict(MaskedScorer(model, MASK, BatchSize(batch_size)).score(texts()))


def test_they_are_those_of_the_models_own_logits():
    model = tiny_model(1).eval()
    expected = {}
    for number, text in enumerate(texts()):
        rows = []
        for is_masked in text.plan.is_masked:
            ids = torch.tensor([*text.context_ids, *text.continuation_ids])
            behind = torch.cat([torch.zeros(len(text.context_ids), dtype=torch.bool), is_masked])
            with torch.no_grad():
                logits = model(input_ids=ids.masked_fill(behind, MASK)[None]).logits[0].double()
            log_prob = logits.log_softmax(-1).gather(1, ids[:, None])[:, 0] * behind
            rows.append(log_prob[len(text.context_ids) :])
        expected[number] = torch.stack(rows)
    model = apply_lift_kernels(tiny_model(1).train())
    found = scores(model, 7)
    assert model.training
    assert sorted(found) == sorted(expected) == list(range(5))
    for number, rows in expected.items():
        assert found[number].dtype == torch.float32
        torch.testing.assert_close(found[number].double(), rows, atol=1e-5, rtol=0)


def test_the_batch_size_changes_nothing():
    model = apply_lift_kernels(tiny_model(1))
    alone = scores(model, 1)
    for size in (3, 64, "auto"):
        for number, rows in scores(model, size).items():
            torch.testing.assert_close(rows, alone[number], atol=1e-5, rtol=0)


def test_rows_of_one_length_share_a_forward_and_none_is_padded():
    model, seen = apply_lift_kernels(tiny_model(1)), []
    model.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    scores(model, 64)
    assert seen == [(15 + 20 + 20, 7), (3 + 1, 2)]


def test_a_model_that_fills_in_no_masks_is_refused():
    model = tiny_model()
    record_mask_token(model, None)
    with pytest.raises(LiftError, match="ModernBertForMaskedLM rewrites random tokens and fills in no masks"):
        scores(model, 2)
