from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from transformers.modeling_outputs import MaskedLMOutput

from benchmarks.study.judging import MASK_RATES, RowsToJudge
from benchmarks.study.model import new_model
from benchmarks.study.tasks import TASKS, Row, build_tokenizer, draw_rows
from lift_kernels import apply_lift_kernels


class Writer(nn.Module):
    """Writes one response whatever it is asked, and keeps how many forwards that took."""

    def __init__(self, response):
        super().__init__()
        self.ids, self.num_forwards = build_tokenizer()(response + " [EOS]")["input_ids"], 0

    def forward(self, input_ids, **_):
        self.num_forwards += 1
        logits = torch.zeros(*input_ids.shape, len(build_tokenizer()))
        for place, token in enumerate(self.ids, start=input_ids.shape[1] - len(self.ids)):
            logits[:, place, token] = 9.0
        return MaskedLMOutput(logits=logits)


def test_answers_and_whole_responses_are_counted_apart():
    rows = [
        Row("sort n1 n0", "first n0 answer n1"),
        Row("sort n0 n1", "first n1 answer n1"),
        Row("sort n2 n3", "first n2 answer n3"),
    ]
    writer = Writer("first n0 answer n1")
    assert RowsToJudge(rows, build_tokenizer()).written(writer) == pytest.approx({"answers": 2 / 3, "responses": 1 / 3})
    assert writer.num_forwards == 5  # one token each, the end token included
    RowsToJudge(rows, build_tokenizer()).written(writer, steps=2)
    assert writer.num_forwards == 7


def test_the_loss_is_the_mean_over_masked_tokens_of_the_response():
    judged = RowsToJudge(draw_rows(TASKS["sort6"], 30, np.random.default_rng(0)), build_tokenizer())
    model = new_model(0).eval()
    apply_lift_kernels(model)
    found = judged.nll(model)
    assert found == judged.nll(model) and len(found) == len(MASK_RATES)
    # A model without preferences loses log 94 on each token, whatever is masked.
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    assert judged.nll(model) == pytest.approx([np.log(94)] * len(MASK_RATES), abs=1e-5)
