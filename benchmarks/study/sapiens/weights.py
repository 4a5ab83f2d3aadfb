"""Sapiens' heavy-chain model: its tokens, and its weights of fairseq's layout as a `RobertaForMaskedLM`.

Source: Prihoda et al., BioPhi, mAbs 14:1 (2022); the package sapiens 1.0.5, MIT. fairseq's RoBERTa and that of
transformers compute the same and name their weights otherwise.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast, RobertaConfig, RobertaForMaskedLM

from benchmarks.study.sapiens.packages import package_file
from benchmarks.study.tokenizer import word_tokenizer
from lift.errors import LiftError

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"  # in the order of the package's dict.txt
TOKENS = ("<s>", "<pad>", "</s>", "<unk>", *AMINO_ACIDS, "<mask>")  # fairseq puts four before a dictionary

_SHA256 = "43254666e9ac0d5aa8fc120f12ac02b6ff082cd1f107c389023c1b947f214825"
_FAIRSEQ = "decoder."
_LAYER_NAMES = {
    "self_attn.q_proj": "attention.self.query",
    "self_attn.k_proj": "attention.self.key",
    "self_attn.v_proj": "attention.self.value",
    "self_attn.out_proj": "attention.output.dense",
    "self_attn_layer_norm": "attention.output.LayerNorm",
    "fc1": "intermediate.dense",
    "fc2": "output.dense",
    "final_layer_norm": "output.LayerNorm",
}
_NAMES = {
    "sentence_encoder.embed_tokens": "roberta.embeddings.word_embeddings",
    "sentence_encoder.embed_positions": "roberta.embeddings.position_embeddings",
    "sentence_encoder.emb_layer_norm": "roberta.embeddings.LayerNorm",
    "lm_head.dense": "lm_head.dense",
    "lm_head.layer_norm": "lm_head.layer_norm",
}
_HEAD_NAMES = {"lm_head.weight": "lm_head.decoder.weight", "lm_head.bias": "lm_head.bias"}


def checkpoint_path() -> Path:
    """Return the file of the package's heavy-chain model."""
    return package_file("sapiens", "models/v1/checkpoint_vh.pt", _SHA256)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return fairseq's checkpoint: nothing in it is run, its arguments are the one class that is let in."""
    with torch.serialization.safe_globals([Namespace]):
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return checkpoint


def pretrained_model() -> RobertaForMaskedLM:
    """Return Sapiens' heavy-chain model, without dropout."""
    return convert(read_checkpoint(checkpoint_path()))


def convert(checkpoint: Mapping[str, Any]) -> RobertaForMaskedLM:
    """Return the model of a fairseq checkpoint of RoBERTa's architecture, in float32 and without dropout.

    Args:
        checkpoint: `model`, the weights by name, and `args`, the sizes.

    Raises:
        LiftError: a weight has no counterpart, or a counterpart no weight.
    """
    sizes, state = checkpoint["args"], checkpoint["model"]
    model = untrained_model(
        hidden_size=sizes.encoder_embed_dim, intermediate_size=sizes.encoder_ffn_embed_dim,
        num_hidden_layers=sizes.encoder_layers, num_attention_heads=sizes.encoder_attention_heads,
        max_position_embeddings=len(state[f"{_FAIRSEQ}sentence_encoder.embed_positions.weight"]),
    )  # fmt: skip
    renamed = {_renamed(name.removeprefix(_FAIRSEQ)): weight.float() for name, weight in state.items()}
    renamed["lm_head.decoder.bias"] = renamed["lm_head.bias"]
    # fairseq has no types of tokens; transformers adds one everywhere.
    renamed["roberta.embeddings.token_type_embeddings.weight"] = torch.zeros(1, sizes.encoder_embed_dim)
    _check_names(model.state_dict(), renamed)
    model.load_state_dict(renamed)
    return model


def untrained_model(**sizes: int) -> RobertaForMaskedLM:
    """Return a model of Sapiens' form; `sizes` are fields of `RobertaConfig`, its own where they are not given."""
    settings: dict[str, Any] = {
        "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 4, "num_attention_heads": 8,
        "max_position_embeddings": 146,
    } | sizes  # fmt: skip
    config = RobertaConfig(
        vocab_size=len(TOKENS), type_vocab_size=1, layer_norm_eps=1e-5, hidden_act="gelu", hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0, bos_token_id=TOKENS.index("<s>"), pad_token_id=TOKENS.index("<pad>"),
        eos_token_id=TOKENS.index("</s>"), **settings,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        return RobertaForMaskedLM(config)


def residue_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer of residues parted by blanks, with Sapiens' ids; a row is <s> residues </s>."""
    return word_tokenizer(
        TOKENS, max_length=144, bos_token="<s>", pad_token="<pad>", eos_token="</s>", mask_token="<mask>"
    )  # fmt: skip


def _renamed(name: str) -> str:
    """Return the name that transformers has for one of fairseq's, or fairseq's where there is none."""
    if name in _HEAD_NAMES:
        return _HEAD_NAMES[name]
    module, _, kind = name.rpartition(".")
    if module in _NAMES:
        return f"{_NAMES[module]}.{kind}"
    layers = "sentence_encoder.layers."
    number, _, part = module.removeprefix(layers).partition(".")
    if module.startswith(layers) and part in _LAYER_NAMES:
        return f"roberta.encoder.layer.{number}.{_LAYER_NAMES[part]}.{kind}"
    return name


def _check_names(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    unlike = sorted(expected.keys() ^ found.keys())
    unlike += [name for name in expected.keys() & found.keys() if expected[name].shape != found[name].shape]
    if unlike:
        raise LiftError(f"the checkpoint is not of Sapiens' layout: {', '.join(unlike)} does not fit.")
