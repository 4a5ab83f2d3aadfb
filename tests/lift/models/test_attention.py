"""Attention arguments: real models predict of packed examples what they predict of each alone."""

from __future__ import annotations

from importlib import metadata
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lift import LiftError, MaskedDiffusionCollator
from lift.models.attention import PACKABLE_MODELS, attention_arguments, check_packable, mask_as_taken, pairs_as_taken
from lift_kernels.models import family_of
from tests.lift.models.packed_examples import alone, boundaries, build, packed_batch
from tests.lift.support.tiny import uneven_rows
from tests.lift_kernels import tiny_models
from tests.transformers_version import needs_packing


@needs_packing
@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("model_type", PACKABLE_MODELS)
def test_packed_examples_are_predicted_as_each_alone(model_type: str, implementation: str) -> None:
    model, batch = build(model_type, implementation), packed_batch()
    assert len(boundaries(batch)) == 24 > 2 * len(batch["input_ids"]) and not batch["maskable"][:, -1].any()
    ids = batch["input_ids"].masked_fill(batch["maskable"] & (torch.rand(batch["input_ids"].shape) < 0.5), 1)
    is_real = torch.zeros(ids.shape, dtype=torch.bool)
    for row, start, end in boundaries(batch):
        is_real[row, start:end] = True

    def error(**arguments: Any) -> float:
        log_probs = model(input_ids=ids, **arguments).logits.log_softmax(-1)
        return (log_probs - truth)[is_real].abs().max().item()

    with torch.no_grad():
        truth = alone(model, ids, batch)
        arguments = attention_arguments(family_of(model), model, batch)
        # ModernBERT's eager attention takes its softmax in float32 whatever the model's dtype.
        is_single = model_type == "modernbert" and implementation == "eager"
        assert error(**arguments) < (1e-5 if is_single else 1e-10)
        # and the comparison would notice: a mask that is dropped or that lets two examples mix, and running positions
        mixed = {**batch, "attention_mask": torch.ones_like(batch["attention_mask"])}
        assert error(**attention_arguments(family_of(model), model, mixed)) > 1e-3
        if model_type != "modernbert":  # whose positions are relative
            assert error(**{**arguments, "position_ids": arguments["position_ids"].flip(0)}) > 1e-3


@needs_packing
def test_rows_and_views_of_the_arguments() -> None:
    model, batch = build("roberta"), packed_batch(12)
    whole, some = (
        attention_arguments(None, model, batch),
        attention_arguments(None, model, batch, rows=torch.tensor([2, 0])),
    )
    twice = attention_arguments(None, model, batch, views=2)
    for name, tensor in whole.items():
        assert torch.equal(some[name], tensor[[2, 0]]) and torch.equal(twice[name], torch.cat([tensor, tensor]))
    assert whole["position_ids"].min() == model.config.pad_token_id + 1
    plain, relative = MaskedDiffusionCollator(0, pad_in_loss=False)(uneven_rows(3)), build("modernbert")
    assert attention_arguments(None, relative, plain) == {"attention_mask": plain["attention_mask"]}
    assert attention_arguments(None, relative, MaskedDiffusionCollator(0)(uneven_rows(3))) == {}


def test_models_that_may_mix_examples_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for model_type in ("llada", "Dream", "mpnet"):
        config = SimpleNamespace(model_type=model_type, _attn_implementation="sdpa")
        with pytest.raises(
            LiftError, match=rf"\(albert, bert, .*, and model type '{model_type}' is not: set packing=F"
        ):
            check_packable(config)
    model = build("modernbert")
    model.config.model_type = "mpnet"
    with pytest.raises(LiftError, match="packing needs a model known to keep"):
        attention_arguments(None, model, packed_batch())
    config = SimpleNamespace(model_type="bert", _attn_implementation="flash_attention_2")
    with pytest.raises(LiftError, match=r"attn_implementation 'sdpa' or 'eager', got 'flash_attention_2': load it so"):
        check_packable(config)
    monkeypatch.setattr(metadata, "version", {"transformers": "5.0.2"}.get)
    with pytest.raises(LiftError, match=r"packing needs transformers 5\.1 or newer, got 5\.0\.2: set packing=False"):
        check_packable(SimpleNamespace(model_type="bert", _attn_implementation="sdpa"))


def test_the_noise_moves_no_position_of_a_model_that_numbers_the_tokens_that_are_not_pads() -> None:
    model, rows = build("roberta"), uneven_rows(3)
    batch = MaskedDiffusionCollator(0)(rows)
    width = batch["input_ids"].shape[1]
    found = attention_arguments(None, model, batch)["position_ids"]
    assert found.tolist() == [list(range(1, width + 1))] * 3  # where padding is text, as trained
    masked = MaskedDiffusionCollator(0, pad_in_loss=False)(rows)
    found = attention_arguments(None, model, masked)["position_ids"]
    is_token = masked["attention_mask"].bool()
    seen = []
    model.roberta.embeddings.position_embeddings.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    model(input_ids=masked["input_ids"])
    assert torch.equal(found[is_token], seen[0][is_token])
    assert "position_ids" not in attention_arguments(None, build("bert"), batch)


def test_a_batch_that_is_wider_than_the_positions_is_refused() -> None:
    """As of a stream, whose rows nobody measured before."""
    for model_type, fits in (("bert", 26), ("roberta", 25)):
        rows = [{"input_ids": [2] * fits, "prompt_length": 1, "example_id": 0}]
        model = build(model_type)
        attention_arguments(None, model, MaskedDiffusionCollator(0)(rows))
        with pytest.raises(
            LiftError, match=rf"rows of {fits + 1} tokens, and the model has {fits} pos.*max_length={fits}"
        ):
            attention_arguments(None, model, MaskedDiffusionCollator(0, max_length=fits + 1)(rows))


MASK = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]])
PAIRS = torch.tensor([[True, True, True, False], [True, True, True, True]])[:, None, None, :].expand(2, 1, 4, 4)


@pytest.mark.parametrize(
    ("form", "taken"),
    [
        ("tokens", MASK),
        ("ignored", MASK),
        ("bool_pairs", PAIRS),
        ("added_pairs", torch.where(PAIRS, 0.0, torch.finfo(torch.float32).min)),
    ],
)
def test_a_mask_of_tokens_takes_the_form_of_the_family(form: Any, taken: Any) -> None:
    found = mask_as_taken(SimpleNamespace(attention_mask=form), MASK, MASK)
    assert found.dtype == taken.dtype and torch.equal(found, taken)


def test_only_a_model_that_always_adds_its_mask_gets_one_where_nothing_is_hidden() -> None:
    for family in (None, *(SimpleNamespace(attention_mask=form) for form in ("tokens", "ignored", "bool_pairs"))):
        assert mask_as_taken(family, None, MASK) is None
    assert mask_as_taken(None, MASK, MASK) is MASK
    found = mask_as_taken(SimpleNamespace(attention_mask="added_pairs"), None, MASK)
    assert found.dtype == torch.float32 and torch.equal(found, torch.zeros(2, 1, 4, 4))


@pytest.mark.parametrize("name", ["dream", "a2d-qwen3"])
def test_eager_attention_adds_its_mask_of_pairs(name: str) -> None:
    model = tiny_models.build(name)
    model.config._attn_implementation = "sdpa"
    assert torch.equal(pairs_as_taken(model, PAIRS), PAIRS)
    model.config._attn_implementation = "eager"
    added = torch.where(PAIRS, 0.0, torch.finfo(torch.float32).min)
    assert torch.equal(pairs_as_taken(model, PAIRS), added)
    assert torch.equal(mask_as_taken(family_of(model), MASK, MASK, model.config), added)


@pytest.mark.parametrize("name", ["dream", "llada2", "bert"])
def test_attention_that_takes_no_mask_of_pairs_is_refused(name: str) -> None:
    model = tiny_models.build(name)
    model.config._attn_implementation = "flash_attention_2"
    with pytest.raises(LiftError, match=r"attends by flash_attention_2, .*: load it with attn_implementation='sdpa'"):
        pairs_as_taken(model, PAIRS)
