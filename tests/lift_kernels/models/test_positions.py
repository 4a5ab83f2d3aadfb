"""Positions: what is read off a model is what its embeddings do."""

from __future__ import annotations

import pytest
import torch
import transformers
from torch import nn

from lift_kernels import apply_lift_kernels
from lift_kernels.models import find_positions, positions_of
from tests.lift_kernels.tiny_models import TINY_MODELS, build

SIZES = {
    "vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16,
    "max_position_embeddings": 32, "pad_token_id": 1, "bos_token_id": None, "eos_token_id": None, "sep_token_id": None,
}  # fmt: skip
# Of models that are not shipped: whether they number the tokens that are not pads.
OTHERS = {
    "XLMRobertaXL": True, "Data2VecText": True, "MPNet": True, "RobertaPreLayerNorm": True, "Esm": True,
    "Nystromformer": False, "MegatronBert": False, "RemBert": False,
}  # fmt: skip


def models() -> dict[str, nn.Module]:
    shipped = {name: build(name, torch.float32) for name in TINY_MODELS if name not in ("diffusion-gemma",)}
    configs = {name: getattr(transformers, f"{name}Config")(**SIZES) for name in OTHERS}
    return shipped | {name: getattr(transformers, f"{name}ForMaskedLM")(config) for name, config in configs.items()}


def test_numbers_are_those_that_the_model_gives_itself():
    tables = 0
    for name, model in models().items():
        positions = find_positions(model)
        if not positions.is_table:
            assert name in ("modernbert", "dream", "a2d-qwen3") or name.startswith("llada"), name
            assert positions.limit is None and not positions.skips_pads
            continue
        tables += 1
        seen = []
        table = next(m for n, m in model.named_modules() if n.endswith("position_embeddings"))
        table.register_forward_pre_hook(lambda _, args, seen=seen: seen.append(args[0]))
        pad = model.config.pad_token_id
        ids = torch.tensor([[5, 6, pad, 7]])
        model.eval()(input_ids=ids)
        assert positions.skips_pads == (seen[0][0, 3] - seen[0][0, 0] == 2) == OTHERS.get(name, positions.skips_pads), (
            name
        )
        assert seen[0][0, 0] == positions.first == positions.ids_of(torch.ones(1, 4))[0, 0], name
        assert positions.limit == table.weight.shape[0] - positions.first, name
        longest = torch.full((1, positions.limit), 5)
        model(input_ids=longest)
        with pytest.raises((IndexError, RuntimeError)):
            model(input_ids=torch.full((1, positions.limit + 1), 5))
    assert tables == 7 + len(OTHERS)


def test_a_mask_numbers_its_tokens():
    positions = find_positions(build("roberta"))
    found = positions.ids_of(torch.tensor([[0, 0, 1, 1], [1, 1, 0, 1], [0, 0, 0, 0]]))
    assert found.tolist() == [[2, 2, 2, 3], [2, 3, 3, 4], [2, 2, 2, 2]] and found.dtype == torch.int64


def test_the_limit_of_a_model_with_code_of_its_own_is_in_its_configuration():
    model = build("llada")
    model.config.max_sequence_length = 9
    positions = find_positions(model)
    assert (positions.limit, positions.source, positions.is_table) == (9, "max_sequence_length", False)


@pytest.mark.parametrize("name", ["bert", "roberta", "modernbert"])
def test_those_of_a_patched_model_are_known_without_a_look_at_its_modules(name, monkeypatch):
    """Every step asks for them, and a model without a table would be walked through to its end."""
    model = build(name)
    wanted = find_positions(model)
    assert positions_of(model) == wanted
    apply_lift_kernels(model)
    monkeypatch.setattr(model, "modules", None)
    assert positions_of(nn.DataParallel(model)) == wanted


@pytest.mark.parametrize(("name", "fits"), [("bert", 16), ("roberta", 14)])
def test_a_patched_model_refuses_rows_beyond_its_positions(name, fits):
    model = apply_lift_kernels(build(name))
    ids = torch.full((2, fits), 5)
    assert model(input_ids=ids, labels=ids).loss.isfinite()
    ids = torch.full((2, fits + 1), 5)
    with pytest.raises(
        ValueError, match=rf"ForMaskedLM: rows must have at most {fits} tokens, .* got labels of {fits + 1}"
    ):
        model(input_ids=ids, labels=ids)
    position_ids = torch.arange(fits + 1).clamp(max=fits - 1).expand(2, -1) + 2  # of packed rows
    if name == "roberta":
        assert model(input_ids=ids, labels=ids, position_ids=position_ids - 1).loss.isfinite()
