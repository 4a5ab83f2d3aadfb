"""A model that was trained in blocks is decoded in them, unless somebody says otherwise."""

from __future__ import annotations

import logging

import pytest
import torch

from lift import LiftError, generate
from lift.models.training_record import record_blocks
from lift.sampling import SamplingConfig, preset
from lift.sampling.as_trained import build_config, how_decoded, settings_as_trained
from tests.lift.support.tiny import tiny_model
from tests.transformers_version import needs_packing

BLOCKS = {"attention": "block", "block_size": "8", "task": "sudoku"}
FROM_ANSWER = BLOCKS | {"block_origin": "answer"}
DEFAULT = {"attention": "block_causal", "block_origin": "start", "block_length": 8}


@pytest.mark.parametrize(
    ("record", "given", "sampler", "expected"),
    [
        ({}, {}, None, {}),  # of an earlier release
        ({"attention": "block"}, {}, None, {}),
        ({"attention": "block", "block_size": "all"}, {}, None, {}),
        ({"attention": "full", "block_size": "8"}, {}, None, {}),
        (BLOCKS, {}, None, DEFAULT),
        (BLOCKS, {"temperature": 1.0, "gen_length": 5}, None, DEFAULT),
        (BLOCKS, {"attention": "full"}, None, {}),
        (BLOCKS, {"infill": True}, None, {}),
        (BLOCKS, {"attention": "block_causal"}, None, {"block_origin": "start", "block_length": 8}),
        (BLOCKS, {"block_length": 2, "block_origin": "answer"}, None, {"attention": "block_causal"}),
        (FROM_ANSWER, {}, None, DEFAULT | {"block_origin": "answer", "uneven": "ceil"}),
        (
            FROM_ANSWER,
            {"block_origin": "start"},
            None,
            {"attention": "block_causal", "block_length": 8, "uneven": "ceil"},
        ),
        (FROM_ANSWER | {"corruption": "uniform"}, {}, None, {"block_length": 8}),
        ({"corruption": "uniform"}, {}, None, {}),
        (BLOCKS, {}, "llada", {}),
        (BLOCKS, {}, "sdar", {"block_length": 8, "steps_per_block": 8}),
        (BLOCKS, {}, "llada2", {"block_length": 8, "steps_per_block": 8}),
        (BLOCKS, {}, "llada2.1", {"block_length": 8}),
        (BLOCKS, {}, "bd3lm", {"block_length": 8}),
        (BLOCKS, {"steps_per_block": 2}, "sdar", {"block_length": 8}),
        (BLOCKS, {"block_length": 4}, "sdar", {}),
    ],
)
def test_what_the_training_asks_for(record, given, sampler, expected):
    assert settings_as_trained(record, given, sampler) == expected


def test_all_settings_make_one_configuration():
    assert build_config(None, False, {}, {}) == SamplingConfig()
    assert build_config(None, False, {"steps": 4}, BLOCKS) == SamplingConfig(**DEFAULT, steps=4)
    assert build_config("sdar", True, {"top_k": 3}, BLOCKS) == preset(
        "sdar", reference_quirks=True, block_length=8, steps_per_block=8, top_k=3
    )
    with pytest.raises(LiftError, match="'stps' is no setting"):
        build_config(None, False, {"stps": 4}, BLOCKS)


def test_what_is_said_of_it(caplog):
    def said(given, sampler=None, record=BLOCKS):
        return how_decoded(build_config(sampler, False, given, record), record, given)

    told = "as in training, text is written in blocks of {} tokens (attention=full: whole rows)"
    assert said({}) == said({}, "llada2") == told.format(8)
    assert said({"block_length": 4}) == told.format(4)
    for silent in ({"attention": "full"}, {"attention": "block_causal"}, {"infill": True}):
        assert said(silent) is None
    assert said({}, record={}) is None and not caplog.messages
    with caplog.at_level(logging.WARNING, "lift"):
        assert said({}, "llada") is None
    (warning,) = caplog.messages
    assert "sees whole rows, and the model was trained in blocks of 8 tokens" in warning


def decided_model():
    """Weights so large that what a token sees matters, and positions do not tie."""
    model, generator = tiny_model().double(), torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                drawn = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
                parameter.copy_(drawn / parameter.shape[1] ** 0.5)
    return model


@needs_packing
def test_a_model_is_asked_as_its_training_asked_it():
    """At the defaults, prompts of unequal length: each row as it is alone, block by block by the definition."""
    model, size, mask_token_id = decided_model(), 4, 1
    prompts = [[2, 3], [4, 5, 6, 2, 3], [6, 5, 4, 3]]
    record_blocks(model, size)
    ids = torch.tensor([[0] * (5 - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (5 - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    found = generate(model, ids, attention_mask=mask, gen_length=7, mask_token_id=mask_token_id)
    for row, prompt in zip(found.tolist(), prompts, strict=True):
        assert row[5:] == written_by_blocks(model, prompt, 7, size, mask_token_id)
    options = {"attention_mask": mask, "gen_length": 7, "mask_token_id": mask_token_id}
    whole = generate(model, ids, attention="full", **options)
    assert not torch.equal(whole, found)
    assert torch.equal(generate(model, ids, config=SamplingConfig(), **options), whole)
    record_blocks(model, None)
    assert torch.equal(generate(model, ids, **options), whole)


def written_by_blocks(model, prompt, length, size, mask_token_id):
    """Greedy decoding by logits of whole prefixes, one token a forward, the surest of the current block first."""
    end = -(-(len(prompt) + length) // size) * size
    ids = torch.tensor(prompt + [mask_token_id] * (end - len(prompt)))
    for start in range(len(prompt) // size * size, end, size):
        block = slice(start, start + size)
        seen = torch.arange(start + size) // size
        pairs = (seen[:, None] >= seen)[None, None]
        while (ids[block] == mask_token_id).any():
            position_ids = torch.arange(start + size)[None]
            with torch.no_grad():
                logits = model(ids[None, : start + size], attention_mask=pairs, position_ids=position_ids).logits[0]
            logits[:, mask_token_id] = -torch.inf
            best, token = logits.log_softmax(-1).max(-1)
            best[ids[: start + size] != mask_token_id] = -torch.inf
            place = int(best[block].argmax()) + start
            ids[place] = token[place]
    return ids[len(prompt) : len(prompt) + length].tolist()
