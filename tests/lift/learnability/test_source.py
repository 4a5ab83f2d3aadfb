"""What every score source is to a trainer."""

from __future__ import annotations

import pytest
import torch

from lift.learnability import ScoreCache, ScoreSource, TokenFrequency
from lift.objectives import lift_batch
from tests.lift.support.tiny import tiny_rows


@pytest.mark.parametrize("kind", ["cache", "frequency"])
def test_a_trainer_can_call_any_source_in_place_of_its_scoring_forward(kind):
    """Easy rows keep the masked tokens that score highest, hard rows the lowest, whatever gave the scores."""
    rows = tiny_rows(4)
    clean_ids, example_id = torch.tensor(rows["input_ids"]), torch.tensor(rows["example_id"])
    source: ScoreSource
    if kind == "cache":
        source = ScoreCache(max(rows["example_id"]) + 1, clean_ids.shape[1])
        log_prob = -torch.rand(clean_ids.shape)
        source.update(example_id, torch.ones_like(clean_ids, dtype=torch.bool), log_prob)
    else:
        source = TokenFrequency.count(rows["input_ids"], 8, rows["prompt_length"])
        source.update(example_id, torch.ones_like(clean_ids, dtype=torch.bool), torch.zeros(clean_ids.shape))
        counts = torch.bincount(
            torch.cat([ids[n:] for ids, n in zip(clean_ids, rows["prompt_length"], strict=True)]), minlength=8
        )
        log_prob = ((counts + 1) / (counts.sum() + 8)).log()[clean_ids]
    torch.testing.assert_close(source.score_batch(example_id, clean_ids), log_prob, rtol=1e-6, atol=0)

    maskable = torch.arange(clean_ids.shape[1]) >= torch.tensor(rows["prompt_length"])[:, None]
    order = torch.tensor([1, -1, 1, -1])
    seen = {}

    def score(corrupted_ids, labels, _order):
        seen["is_masked"] = labels != -100
        return source.score_batch(example_id, clean_ids)

    half = torch.full((4,), 0.45)
    batch = lift_batch(
        clean_ids, maskable, half, half, order, score, mask_token_id=1, seed=3, example_id=example_id
    ).batch
    is_kept = batch.labels != -100
    for row in range(4):
        kept = log_prob[row][is_kept[row]] * order[row]
        rejected = log_prob[row][seen["is_masked"][row] & ~is_kept[row]] * order[row]
        assert len(kept) and len(rejected) and kept.min() >= rejected.max()
