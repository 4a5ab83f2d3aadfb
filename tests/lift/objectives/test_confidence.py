from __future__ import annotations

import torch

from lift.objectives import sft
from lift.objectives.micro_batch import build_training_batch
from tests.lift.support.clean_rows import clean_rows


def test_it_is_sft_and_says_how_much_entropy_counts():
    rows = clean_rows("confidence", confidence_beta=0.7)
    prepared, plain = build_training_batch(rows), sft.build(rows)
    assert prepared.confidence == 0.7 and plain.confidence == 0
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(prepared.batch, plain.batch, strict=True))
