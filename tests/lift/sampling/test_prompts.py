"""Prompts in a batch: each is completed as alone, wherever its padding stands, or the batch is refused."""

from __future__ import annotations

import inspect

import pytest
import torch

from lift import LiftError, generate
from lift_kernels import apply_lift_kernels
from tests.lift_kernels.tiny_models import TINY_MODELS, V, build

MASK, PAD, GEN_LENGTH = 60, 1, 4
IGNORING = ("llada", "llada-tied-scaled", "llada-bias", "llada-moe")
PROMPTS = ((9, 4), (21, 30, PAD, 8, 17), (5,), (33, 12, 40, 3))  # a pad token may be text


def sharp(name: str) -> torch.nn.Module:
    torch.manual_seed(2)
    model = build(name, torch.float32).eval()  # torch 2.13 misreads float32 masks beside float64 on a CPU
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if parameter.dim() > 1:  # far from the start, where the context hardly counts; a router would be saturated
                torch.nn.init.normal_(parameter, std=0.1 if parameter_name.endswith("gate.weight") else 0.6)
    return model


def batch_of(prompts, side: str) -> dict[str, torch.Tensor]:
    width = max(map(len, prompts))
    ids, mask = torch.full((len(prompts), width), PAD), torch.zeros(len(prompts), width, dtype=torch.int64)
    for row, prompt in enumerate(prompts):
        place = slice(width - len(prompt), width) if side == "left" else slice(0, len(prompt))
        ids[row, place], mask[row, place] = torch.tensor(prompt), 1
    return {"prompt_ids": ids, "attention_mask": mask}


def takes_no_positions(model) -> bool:
    return "position_ids" not in inspect.signature(type(model).forward).parameters


@pytest.mark.parametrize("name", [name for name in TINY_MODELS if name not in (*IGNORING, "diffusion-gemma")])
def test_a_row_is_completed_as_it_is_alone(name):
    model = sharp(name)
    options = {"gen_length": GEN_LENGTH, "mask_token_id": MASK}
    alone = [generate(model, torch.tensor([prompt]), **options)[0, len(prompt) :].tolist() for prompt in PROMPTS]
    assert len({tuple(row) for row in alone}) > 1
    if name == "distilbert" and takes_no_positions(model):
        with pytest.raises(LiftError, match=r"takes no position_ids for its absolute positions, .* one by one"):
            generate(model, **batch_of(PROMPTS, "left"), **options)
        return
    for side in ("left", "right"):
        batch = batch_of(PROMPTS, side)
        seen = []
        ids = generate(model, **batch, **options, on_step=lambda step, ids, seen=seen: seen.append(ids))
        assert torch.equal(ids[:, :-GEN_LENGTH], batch["prompt_ids"]) and torch.equal(seen[-1], ids)
        assert torch.equal(seen[0][:, :-GEN_LENGTH], batch["prompt_ids"])
        assert ids[:, -GEN_LENGTH:].tolist() == alone, side
    patched = generate(apply_lift_kernels(model), **batch_of(PROMPTS, "left"), **options)
    assert patched[:, -GEN_LENGTH:].tolist() == alone


@pytest.mark.parametrize("name", IGNORING)
def test_a_model_that_ignores_masks_is_refused_padding_and_nothing_else(name):
    model, options = build(name), {"gen_length": 2, "mask_token_id": MASK}
    with pytest.raises(LiftError, match=r"ignores attention masks, so padding would .* one by one, or those of one le"):
        generate(model, **batch_of(PROMPTS, "left"), **options)
    batch = batch_of([(9, 4), (21, 30)], "left")
    assert torch.equal(generate(model, **batch, **options), generate(model, batch["prompt_ids"], **options))


def test_positions_do_not_depend_on_what_is_committed():
    """A model that numbers the tokens that are not pads would move all later ones when it writes a pad."""
    model = sharp("roberta")
    with torch.no_grad():
        model.lm_head.bias[PAD] = 1e3
    seen = []
    table = model.roberta.embeddings.position_embeddings
    table.register_forward_pre_hook(lambda _, args: seen.append(args[0].tolist()))
    ids = generate(model, torch.tensor([[9, PAD, 4]]), gen_length=3, mask_token_id=MASK)
    assert ids[0, 3:].tolist() == [PAD] * 3 and seen == [[[2, 3, 4, 5, 6, 7]]] * 3


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("bert", {"gen_length": 15}, r"prompt and response have 17 tokens, and the model has 16 positions \(max_posit"),
        ("roberta", {"gen_length": 13}, r"have 15 tokens, and the model has 14 positions .* at most 14 less the prompt"),
        ("bert", {"prompt_ids": torch.tensor([[9, V]])}, r"prompt_ids must be in \[0, 64\), .* got 64"),
        ("bert", {"prompt_ids": torch.tensor([[-1, 9]])}, r"prompt_ids must be in \[0, 64\), .* got -1"),
        ("bert", {"prompt_ids": [[9, 4]]}, r"prompt_ids must be \(B, P\) int64, got list"),
        ("bert", {"attention_mask": torch.tensor([[0.0, -1e4]])}, "attention_mask must hold 1 on the prompt's tokens"),
        ("bert", {"suppress_ids": [3, 64]}, r"suppress_ids must be in \[0, 64\), the model's vocabulary, got 64"),
        ("bert", {"suppress_ids": range(64)}, "suppress_ids leave no token to choose"),
        ("bert", {"row_ids": torch.tensor([1.0])}, r"row_ids must be \(1,\) int64, one a prompt, got \(1,\) float32"),
        ("dream", {"prompt_ids": torch.zeros(1, 0, dtype=torch.int64)}, "prompt_ids must not be empty"),
    ],
)  # fmt: skip
def test_what_cannot_be_completed_is_one_sentence(name, options, sentence):
    with pytest.raises(LiftError, match=sentence):
        generate(
            build(name), **{"prompt_ids": torch.tensor([[9, 4]]), "gen_length": 2, "mask_token_id": MASK} | options
        )


def test_rows_that_just_fit_are_completed():
    for name, positions in (("bert", 16), ("roberta", 14)):
        ids = generate(build(name), torch.tensor([[9, 4]]), gen_length=positions - 2, mask_token_id=MASK)
        assert ids.shape == (1, positions)
