"""What a model says at some positions: the same from its hidden states as from its logits."""

from __future__ import annotations

import pytest
import torch

from lift.sampling.guidance import guide
from lift.sampling.heads import Head, PlainHead, read_logits, read_states
from lift_kernels import apply_lift_kernels
from lift_kernels.reference import linear_logits
from tests.lift_kernels.tiny_models import TINY_MODELS, build


@pytest.mark.parametrize("name", [name for name in TINY_MODELS if name != "diffusion-gemma"])
def test_states_and_head_give_the_models_logits(name):
    model = build(name, torch.float32).eval()
    ids, index = torch.randint(2, 60, (2, 6)), torch.tensor([1, 4, 5, 6, 11])
    inputs = {"input_ids": ids}
    if name.startswith("llada2"):
        inputs["attention_mask"] = torch.zeros(2, 1, 6, 6)
    with torch.no_grad():
        logits = model(**inputs).logits.flatten(0, 1)[index]
        for is_patched in (False, True):
            if is_patched:
                apply_lift_kernels(model)
            ours = read_states(model, inputs, index, lambda rows, head: head.logits(rows))
            torch.testing.assert_close(ours.float(), logits.float(), rtol=1e-5, atol=1e-5)
            found = read_states(model, inputs, index, _made_of_plain)
            torch.testing.assert_close(found, logits.float(), rtol=1e-5, atol=1e-5)
            theirs = read_logits(model, inputs, index, lambda rows, head: head.logits(rows))
            torch.testing.assert_close(theirs.float(), logits.float(), rtol=1e-5, atol=1e-5)


def _made_of_plain(rows, head):
    plain = head.plain
    return linear_logits(rows, plain.weight, plain.bias, plain.logit_scale, plain.logit_softcap).float()


@pytest.mark.parametrize(
    "options", [{"target_modules": ["decoder"]}, {"modules_to_save": ["decoder"], "target_modules": ["query"]}]
)
def test_a_head_with_an_adapter_is_not_plain(options):
    peft = pytest.importorskip("peft")
    model = build("bert", torch.float32).eval()
    ids, index = torch.randint(2, 60, (1, 4)), torch.tensor([1, 2])
    assert read_states(model, {"input_ids": ids}, index, lambda rows, head: head.plain) is not None
    wrapped = peft.get_peft_model(model, peft.LoraConfig(r=2, init_lora_weights=False, **options))
    with torch.no_grad():
        found = read_states(wrapped, {"input_ids": ids}, index, lambda rows, head: (head.plain, head.logits(rows)))
        assert found[0] is None
        torch.testing.assert_close(found[1], wrapped(input_ids=ids).logits[0, index], rtol=1e-5, atol=1e-5)


def test_guided_rows_keep_a_plain_head_only_where_one_row_is_made_of_two():
    plain = PlainHead(torch.randn(5, 3), None)
    head = Head(lambda rows: rows @ plain.weight.t(), 5, True, plain)
    rows = torch.randn(2, 3)
    assert guide(rows, rows, head, 1.0)[1].plain is plain
    assert guide(rows.bfloat16(), rows.bfloat16(), head, 1.0)[1].plain is None
