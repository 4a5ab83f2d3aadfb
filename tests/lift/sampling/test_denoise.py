"""What a model is fed, what it may see, and which of its positions predicts a token."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from lift import LiftError, generate
from lift_kernels import apply_lift_kernels
from tests.lift.support.labelled import tiny_dream
from tests.lift_kernels.tiny_models import build
from tests.transformers_version import needs_packing


class Moved(nn.Module):
    """Logits at the tokens that they predict."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.config = model, SimpleNamespace(vocab_size=8, mask_token_id=1)

    def forward(self, input_ids, attention_mask=None):
        logits = self.model(input_ids).logits
        return SimpleNamespace(logits=torch.cat([logits[:, :1], logits[:, :-1]], 1))


@pytest.mark.parametrize("is_patched", [False, True])
def test_a_model_that_predicts_the_next_token_is_read_one_position_before(is_patched):
    model, prompts = tiny_dream().eval(), torch.randint(2, 8, (5, 3))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(8 if parameter.dim() > 1 else 1)
    expected = generate(Moved(model), prompts, gen_length=6, block_length=3)
    unmoved = generate(model, prompts, gen_length=6, block_length=3, shift="none")
    if is_patched:
        apply_lift_kernels(model)
    assert torch.equal(generate(model, prompts, gen_length=6, block_length=3), expected)
    assert not torch.equal(unmoved, expected)


class Watched(nn.Module):
    """Keeps what it is given; all tokens are alike to it."""

    def __init__(self) -> None:
        super().__init__()
        self.config, self.calls = SimpleNamespace(vocab_size=8, mask_token_id=7), []

    def forward(self, input_ids, attention_mask=None, position_ids=None):
        self.calls.append((input_ids, attention_mask))
        return SimpleNamespace(logits=torch.zeros(*input_ids.shape, 8))


def test_a_token_sees_its_block_and_those_before_and_no_padding():
    model = Watched()
    prompts, mask = torch.tensor([[0, 0, 3, 4, 5], [1, 2, 3, 4, 5]]), torch.tensor([[0, 0, 1, 1, 1], [1] * 5])
    generate(model, prompts, attention_mask=mask, gen_length=6, block_length=3, attention="block_causal", steps=2)
    # Answers begin in column 6, a block's first; the prompts in columns 3 and 1.
    for (ids, pairs), width in zip(model.calls, (9, 12), strict=True):
        assert ids.shape == (2, width) and pairs.shape == (2, 1, width, width)
        for row, first in enumerate((3, 1)):
            for query in range(first, width):
                expected = [first <= key and key // 3 <= query // 3 for key in range(width)]
                assert pairs[row, 0, query].tolist() == expected
        assert pairs.any(-1).all()  # padding too, or its softmax would be of nothing


def test_guidance_asks_with_and_without_the_text_in_one_call():
    model = Watched()
    generate(model, torch.tensor([[3, 4]]), gen_length=2, steps=1, guidance_scale=1.0, unconditional_keep_ids=(4,))
    ((ids, _),) = model.calls
    assert ids.tolist() == [[3, 4, 7, 7], [7, 4, 7, 7]]


def test_blocks_need_a_model_that_looks_at_its_mask():
    model = build("llada", torch.float32)
    with pytest.raises(LiftError, match=r"ignores attention masks: use attention='full'"):
        generate(model, torch.tensor([[3, 4]]), gen_length=2, mask_token_id=60, attention="block_causal")


BLOCKS = {"gen_length": 4, "block_length": 2, "mask_token_id": 60, "attention": "block_causal"}


@pytest.mark.parametrize(
    "name", ["dream", "llada2", *(pytest.param(name, marks=needs_packing) for name in ("bert", "modernbert"))]
)
def test_models_of_known_families_take_blocks(name):
    model = build(name, torch.float32).eval()
    prompts = torch.tensor([[0, 3, 4], [5, 6, 8]])
    found = generate(model, prompts, attention_mask=torch.tensor([[0, 1, 1], [1, 1, 1]]), **BLOCKS)
    assert found[0, 3:].tolist() == generate(model, prompts[:1, 1:], **BLOCKS)[0, 2:].tolist()


def test_blocks_of_a_model_of_transformers_need_one_that_obeys_such_masks(monkeypatch):
    monkeypatch.setattr("lift.models.attention.keeps_packed_examples_apart", lambda: False)
    with pytest.raises(LiftError, match=r"takes blocks from transformers 5\.1 on, got .*: use attention='full'"):
        generate(build("bert", torch.float32).eval(), torch.tensor([[3, 4]]), **BLOCKS)
