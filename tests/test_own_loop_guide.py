"""The loops of docs/own_loop.md run as they stand on a tiny BERT, and train what the page says."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertForMaskedLM

import lift.objectives
import lift_kernels

GUIDE = Path(__file__).resolve().parents[1] / "docs" / "own_loop.md"
PLAIN, TWO_FORWARDS, ONE_FORWARD = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
MASK = 3


def tiny_bert() -> BertForMaskedLM:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=40, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=32, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    return BertForMaskedLM(config)


def rows() -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Batches of rows whose responses have unequal lengths."""
    generator = torch.Generator().manual_seed(1)
    found = []
    for first in (0, 6, 12):
        lengths = torch.randint(4, 20, (6, 1), generator=generator)
        place = torch.arange(24)
        is_response = (place >= 3) & (place < 3 + lengths)
        ids = torch.randint(4, 40, (6, 24), generator=generator)
        found.append((ids.where(place < 3 + lengths, 0), is_response, torch.arange(first, first + 6) * 1000))
    return found


def run(block: str, batches, monkeypatch, *, module, name: str) -> list[tuple[dict, object]]:
    """The calls of `module.name` that a loop makes: the arguments and the result."""
    calls, call = [], getattr(module, name)

    def copied(value):  # the optimiser changes weights in place
        return value.detach().clone() if isinstance(value, torch.Tensor) else value

    def watched(*args, **options):
        result = call(*args, **options)
        kept = [copied(arg) for arg in args], {name: copied(value) for name, value in options.items()}
        calls.append((kept, copied(result)))
        return result

    monkeypatch.setattr(module, name, watched)
    model = tiny_bert()
    before = [p.clone() for p in model.parameters()]
    torch.manual_seed(0)
    exec(block, {"model": model, "batches": batches, "mask_token_id": MASK})
    assert all(p.isfinite().all() for p in model.parameters())
    assert sum(not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True)) > len(before) // 2
    return calls


def test_plain_fine_tuning(monkeypatch):
    calls = run(PLAIN, rows(), monkeypatch, module=lift.objectives, name="sft_batch")
    assert len(calls) == 3
    for (args, _), batch in calls:
        clean, is_response, t = args
        is_masked = batch.labels != -100
        assert is_masked.any() and not (is_masked & ~is_response).any()
        assert torch.equal(batch.input_ids, clean.masked_fill(is_masked, MASK))
        weight = (1 / t)[:, None].expand(clean.shape)
        assert torch.equal(batch.token_weight[is_masked], weight[is_masked])
        assert batch.denominator == is_response.sum()
    assert len({tuple((batch.labels != -100).flatten().tolist()) for _, batch in calls}) == 3  # a seed for each step


def test_two_forwards(monkeypatch):
    batches = rows()
    calls = run(TWO_FORWARDS, batches, monkeypatch, module=lift.objectives, name="lift_batch")
    assert len(calls) == 3
    for (args, _), taken in calls:
        clean, is_response, t, rho, order, _ = args
        is_kept, is_masked = taken.batch.labels != -100, taken.is_masked
        assert not (is_masked & ~is_response).any() and not (is_kept & ~is_masked).any()
        assert torch.equal(taken.batch.input_ids, clean.masked_fill(is_kept, MASK))
        assert torch.equal(order, torch.where(t > 2 / 3, 1, torch.where(t < 1 / 3, -1, 0)))
        share = (is_masked.sum(1) * t.double() / (t.double() + rho.double())).round().long()
        least = (order == 0) & is_masked.any(1)
        assert torch.equal(is_kept.sum(1), share.maximum(least.long()))
    (args, options), whole = calls[0]
    alone = lift.objectives.lift_batch(*(part[2:3] for part in args[:5]), lambda *_: whole.log_prob[2:3], **{
        **options, "example_id": options["example_id"][2:3]
    })  # fmt: skip
    assert torch.equal(alone.batch.labels, whole.batch.labels[2:3])  # it is masked alike in another batch


def test_one_forward(monkeypatch):
    calls = run(ONE_FORWARD, rows(), monkeypatch, module=lift_kernels, name="lift_cross_entropy")
    assert len(calls) == 3
    for ((hidden, weight, labels, t, num_keep, order), options), loss in calls:
        is_masked = labels != -100
        logits = hidden.double() @ weight.double().T + options["bias"].double()
        log_prob = logits.log_softmax(-1).gather(2, labels.clamp(min=0)[..., None])[..., 0]
        draws = {name: options[name] for name in ("seed", "row_ids")}
        is_kept = lift_kernels.select_tokens(log_prob, is_masked, num_keep, order, **draws)
        assert 0 < is_kept.sum() < is_masked.sum()
        expected = (-log_prob * is_kept / t[:, None]).sum() / options["denominator"]
        assert float(loss) == pytest.approx(float(expected), rel=1e-4)
    assert {int(mode) for call in calls for mode in call[0][0][5]} == {-1, 0, 1}


@pytest.mark.parametrize("function", [lift.objectives.lift_batch, lift_kernels.lift_cross_entropy])
def test_the_examples_of_the_docstrings(function):
    model, (input_ids, is_response, example_id) = tiny_bert(), rows()[0]
    lift_kernels.apply_lift_kernels(model)
    names = {name: getattr(lift.objectives, name) for name in lift.objectives.__all__} | {
        "torch": torch, "lift_cross_entropy": lift_kernels.lift_cross_entropy, "model": model, "clean_ids": input_ids,
        "is_response": is_response, "example_id": example_id, "mask_token_id": MASK, "step": 0,
    }  # fmt: skip
    (example,) = doctest.DocTestFinder().find(function, globs=names)
    assert len(example.examples) > 5
    shown: list[str] = []
    assert doctest.DocTestRunner().run(example, out=shown.append, clear_globs=False).failed == 0, "".join(shown)
