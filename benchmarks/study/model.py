"""The small model of the study, new or from a file."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save
from transformers import AutoConfig, AutoModelForMaskedLM, PreTrainedModel

from benchmarks.study.tasks import MAX_LENGTH, build_tokenizer
from lift.atomic_write import atomic_write

LAYERS, WIDTH = 4, 64


def new_model(seed: int) -> PreTrainedModel:
    """Return a ModernBERT with random weights, which are a function of `seed` alone."""
    tokenizer = build_tokenizer()
    config = AutoConfig.for_model(
        "modernbert", vocab_size=len(tokenizer), hidden_size=WIDTH, intermediate_size=2 * WIDTH,
        num_hidden_layers=LAYERS, num_attention_heads=4, max_position_embeddings=MAX_LENGTH,
        layer_types=["full_attention"] * LAYERS, pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None, eos_token_id=tokenizer.eos_token_id, cls_token_id=None, sep_token_id=None,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: PreTrainedModel = AutoModelForMaskedLM.from_config(config)
    return model


def load_model(path: Path) -> PreTrainedModel:
    """Return the model whose weights `save_model` wrote."""
    model = new_model(0)
    model.load_state_dict(load_file(path))
    return model


def save_model(model: PreTrainedModel, path: Path) -> None:
    """Write the weights; the file is whole at every moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # The head shares the embedding's weights, and safetensors wants tensors that share none.
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with atomic_write(path) as file:
        file.write(save(state))
