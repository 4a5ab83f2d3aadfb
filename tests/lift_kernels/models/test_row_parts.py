"""The one-forward objective of parts of rows, against the same tokens cut out by hand."""

from __future__ import annotations

import pytest
import torch

from lift_kernels import apply_lift_kernels, lift_cross_entropy
from lift_kernels.models.row_parts import labels_of_parts, states_of_parts, to_rows
from tests.lift_kernels.tiny_models import Sizes, build, own_logits

SIZES = Sizes(rows=2, length=7)
# Two parts of the first row, three of the second; position 3 of the first row is in none.
PARTS = torch.tensor([[0, 1, 2], [4, 5, 6], [7, 8, -1], [9, 10, 11], [12, 13, -1]])


def test_places_are_found_and_found_again():
    labels = torch.arange(14).view(2, 7)
    assert labels_of_parts(labels, PARTS, predicts_next=False).tolist() == PARTS.where(PARTS >= 0, -100).tolist()
    shifted = labels_of_parts(labels, PARTS, predicts_next=True)
    assert shifted[0].tolist() == [-100, 1, 2] and shifted[2].tolist() == [-100, 8, -100]
    states = labels[..., None].float()
    assert states_of_parts(states, PARTS, predicts_next=False)[3, :, 0].tolist() == [9, 10, 11]
    assert states_of_parts(states, PARTS, predicts_next=True)[3, :, 0].tolist() == [8, 9, 10]
    back = to_rows(PARTS, PARTS, labels.shape, -7)
    assert torch.equal(back, labels.masked_fill(labels == 3, -7))


@pytest.mark.parametrize("learnability", ["hard", "soft"])
@pytest.mark.parametrize("name", ["bert", "dream"])
def test_the_loss_of_parts_is_that_of_rows_cut_there(name, learnability):
    model, inputs = build(name, sizes=SIZES), {"input_ids": torch.randint(SIZES.vocab, (2, 7))}
    labels = torch.randint(SIZES.vocab, (2, 7))
    labels[:, 0] = -100
    logits = own_logits(name, model, inputs)
    cut = labels_of_parts(labels, PARTS, predicts_next=False)
    lift = {
        "timestep": torch.tensor([0.2, 0.4, 0.5, 0.7, 0.9]), "num_keep": torch.tensor([1, 2, 1, 2, 1]),
        "order": torch.tensor([-1, -1, 0, 1, 1]), "learnability": learnability, "seed": 0,
        "row_ids": torch.tensor([3, 3 + 2**32, 5, 5 + 2**32, 5 + 2**33]),
    }  # fmt: skip
    eye = torch.eye(SIZES.vocab, dtype=logits.dtype)  # as a head, so that states are logits
    flat = logits.flatten(0, 1)[PARTS.clamp(min=0)]
    expected, kept = lift_cross_entropy(flat, eye, cut, denominator=3.0, return_learnability=True, **lift)
    expected.backward()
    theirs = {key: p.grad.clone() for key, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    apply_lift_kernels(model)
    outputs = model(**inputs, labels=labels, denominator=3.0, return_token_stats=True, lift=lift | {"parts": PARTS})
    outputs.loss.backward()
    torch.testing.assert_close(outputs.loss, expected)
    assert torch.equal(outputs.learnability != 0, to_rows(kept, PARTS, labels.shape, 0) != 0)
    assert not outputs.learnability[0, 3] and outputs.token_stats.argmax[0, 3] == -1
    log_prob = logits.log_softmax(-1).gather(-1, labels.clamp(min=0)[..., None])[..., 0]
    is_labelled = (labels != -100) & (torch.arange(7) != 3).expand(2, 7)
    is_labelled[1, 3] = True
    torch.testing.assert_close(outputs.token_stats.log_prob[is_labelled], log_prob[is_labelled])
    for key, parameter in model.named_parameters():
        if key in theirs:
            torch.testing.assert_close(parameter.grad, theirs[key], rtol=1e-6, atol=1e-9)
