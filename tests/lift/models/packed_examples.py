"""Tiny real models in float64, packed batches, and what a model predicts of each packed example by itself."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForMaskedLM, PreTrainedModel

from lift import MaskedDiffusionCollator, pack_dataset
from tests.lift.support.tiny import uneven_rows

SIZES = {
    "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3, "num_attention_heads": 2, "vocab_size": 8,
    "max_position_embeddings": 26, "pad_token_id": 0,
}  # fmt: skip
OWN_SIZES = {
    "albert": {"embedding_size": 16},
    "distilbert": {"dim": 16, "hidden_dim": 24, "n_layers": 3, "n_heads": 2},
    "electra": {"embedding_size": 16},
    # One layer sees all, two see 4 tokens to each side: fewer than an example has.
    "modernbert": {
        "local_attention": 8, "global_attn_every_n_layers": 3, "bos_token_id": None, "eos_token_id": None,
        "cls_token_id": None, "sep_token_id": None,
    },
}  # fmt: skip
DROPOUT = {
    name: 0.0
    for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout", "mlp_dropout")
}


def build(model_type: str, implementation: str = "sdpa") -> PreTrainedModel:
    """In float64, with weights so large that each token's prediction depends on all it attends to."""
    config = AutoConfig.for_model(model_type, **SIZES, **OWN_SIZES.get(model_type, {}), **DROPOUT)
    model = AutoModelForMaskedLM.from_config(config, attn_implementation=implementation).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.3)
    return model


def packed_batch(num_examples: int = 24, width: int = 40) -> dict[str, Any]:
    """Rows wider than max_position_embeddings, each with two examples or more, and with padding."""
    rows = pack_dataset(uneven_rows(num_examples), max_length=width)
    return MaskedDiffusionCollator(0, pad_in_loss=False, max_length=width + 3)(rows.to_list())


def boundaries(batch: dict[str, Any]) -> list[tuple[int, int, int]]:
    """(row, start, end) of each example, read off the positions: independent of what the collator was given."""
    found = []
    for row, (positions, mask) in enumerate(zip(batch["position_ids"], batch["attention_mask"][:, 0], strict=True)):
        starts = (positions == 0).nonzero()[:, 0].tolist()
        last = positions[mask[-1]]  # a block of padding stands at 0 throughout
        num_pads = len(last) if not last.any() else 0
        starts = [*starts[: len(starts) - num_pads], len(positions) - num_pads]
        found += [(row, start, end) for start, end in itertools.pairwise(starts)]
    return found


def alone(model: PreTrainedModel, ids: Tensor, batch: dict[str, Any]) -> Tensor:
    """Log-probabilities (B, L, V) with every example in a batch of its own, without mask and positions; 0 on pads."""
    found = torch.zeros(*ids.shape, SIZES["vocab_size"], dtype=torch.float64)
    for row, start, end in boundaries(batch):
        found[row, start:end] = model(input_ids=ids[row : row + 1, start:end]).logits[0].log_softmax(-1)
    return found
