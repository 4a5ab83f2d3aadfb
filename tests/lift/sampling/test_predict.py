"""What a model expects of masked tokens: the same from its logits as from the statistics of a patched forward."""

from __future__ import annotations

import pytest
import torch

from lift.sampling.predict import predict_from_logits, predict_from_token_stats
from lift_kernels import apply_lift_kernels
from tests.lift.support.labelled import tiny_dream
from tests.lift.support.tiny import tiny_model

MASK, BLOCK = 1, slice(3, 7)
FORBIDDEN = torch.tensor([MASK])


def sharp_model():
    """Far from its start, where all tokens are about as likely."""
    model = tiny_model().double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(8 if parameter.dim() > 1 else 1)
    return model


def half_masked_rows() -> tuple[torch.Tensor, torch.Tensor]:
    input_ids = torch.randint(2, 8, (5, 9))
    is_masked = torch.rand(5, 4) < 0.6
    input_ids[:, BLOCK] = input_ids[:, BLOCK].masked_fill(is_masked, MASK)
    return input_ids, is_masked


def by_definition(logits):
    """The most likely token other than [MASK], and its log-probability among all of them."""
    log_probs = logits[:, BLOCK].double().log_softmax(-1)
    gold, token = log_probs.masked_fill(torch.arange(log_probs.shape[-1]) == MASK, -torch.inf).max(-1)
    return token, gold


@pytest.mark.parametrize("mask_bias", [-1e4, 0.0, 4.0], ids=["never [MASK]", "at times", "often"])
@pytest.mark.parametrize("is_padded", [False, True])
def test_both_ways_are_the_definition(is_padded, mask_bias):
    model, (input_ids, is_masked) = sharp_model(), half_masked_rows()
    attention_mask = (torch.arange(9) >= torch.tensor([[0], [2], [0], [1], [2]])).long() if is_padded else None
    with torch.no_grad():
        model.decoder.bias[MASK] = mask_bias
        token, log_prob = by_definition(model(input_ids, attention_mask=attention_mask).logits)
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
        ours = predict_from_logits(model, inputs, BLOCK, is_masked, FORBIDDEN)
        assert torch.equal(ours[0], token)
        torch.testing.assert_close(ours[1].double(), log_prob, rtol=1e-5, atol=1e-5)
        ours = predict_from_token_stats(apply_lift_kernels(model), inputs, BLOCK, is_masked, FORBIDDEN)
    assert is_masked.any() and torch.equal(ours[0][is_masked], token[is_masked])
    torch.testing.assert_close(ours[1].double()[is_masked], log_prob[is_masked], rtol=1e-5, atol=1e-5)


def test_a_model_that_predicts_the_next_token_is_read_one_position_before():
    model, (input_ids, is_masked) = tiny_dream().eval(), half_masked_rows()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(8 if parameter.dim() > 1 else 1)
        token, log_prob = by_definition(model(input_ids).logits.roll(1, 1))
        for predict in (predict_from_logits, predict_from_token_stats):
            ours = predict(model, {"input_ids": input_ids}, BLOCK, is_masked, FORBIDDEN)
            assert torch.equal(ours[0][is_masked], token[is_masked])
            torch.testing.assert_close(ours[1].double()[is_masked], log_prob[is_masked], rtol=1e-4, atol=1e-4)
            apply_lift_kernels(model)
