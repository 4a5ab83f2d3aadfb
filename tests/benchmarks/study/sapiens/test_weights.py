from __future__ import annotations

import math
import pickle
from fractions import Fraction

import pytest
import torch
from torch import nn

from benchmarks.study.sapiens.weights import (
    TOKENS,
    checkpoint_path,
    convert,
    pretrained_model,
    read_checkpoint,
    residue_tokenizer,
)
from lift.errors import LiftError
from tests.benchmarks.study.sapiens.made_packages import made_checkpoint

# The first example of the package's own page: a chain, and the probabilities of A, C, D and E at its first places.
CHAIN = "**QLV*SGVEVKKPGASVKVSCKASGYTFTNYYMYWVRQAPGQGLEWMGGINPSNGGTNFNEKFKNRVTLTTDSSTTTAYMELKSLQFDDTAVYYCARRDYRFDMGFDYWGQGTTVTVSS"
PUBLISHED = [
    [0.003272, 0.004147, 0.004011, 0.004590],
    [0.012038, 0.003854, 0.006803, 0.008174],
    [0.003384, 0.003895, 0.003726, 0.004068],
    [0.004612, 0.005325, 0.004443, 0.004641],
    [0.005519, 0.003664, 0.003555, 0.005269],
]


def ids_of(chain):
    residues = [TOKENS.index("<mask>" if residue == "*" else residue) for residue in chain]
    return torch.tensor([TOKENS.index("<s>"), *residues, TOKENS.index("</s>")])


def by_hand(checkpoint, ids):
    """fairseq's RoBERTa in float64 and by its own names: sums after each block, then the norm, as in BERT."""
    state = {name: value.double() for name, value in checkpoint["model"].items()}
    sizes = checkpoint["args"]

    def linear(values, name):
        return values @ state[f"decoder.{name}.weight"].T + state[f"decoder.{name}.bias"]

    def norm(values, name):
        centred = values - values.mean(-1, keepdim=True)
        spread = (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        return centred / spread * state[f"decoder.{name}.weight"] + state[f"decoder.{name}.bias"]

    def gelu(values):
        return values * (1 + torch.erf(values / math.sqrt(2))) / 2

    encoder = "sentence_encoder"
    places = torch.arange(len(ids)) + TOKENS.index("<pad>") + 1
    hidden = state[f"decoder.{encoder}.embed_tokens.weight"][ids]
    hidden = norm(hidden + state[f"decoder.{encoder}.embed_positions.weight"][places], f"{encoder}.emb_layer_norm")
    for number in range(sizes.encoder_layers):
        layer = f"{encoder}.layers.{number}"
        parts = [
            linear(hidden, f"{layer}.self_attn.{part}").unflatten(-1, (sizes.encoder_attention_heads, -1))
            for part in ("q_proj", "k_proj", "v_proj")
        ]
        scores = torch.einsum("ihd,jhd->hij", parts[0], parts[1]) / math.sqrt(parts[0].shape[-1])
        mixed = torch.einsum("hij,jhd->ihd", scores.softmax(-1), parts[2]).flatten(1)
        hidden = norm(hidden + linear(mixed, f"{layer}.self_attn.out_proj"), f"{layer}.self_attn_layer_norm")
        inner = gelu(linear(hidden, f"{layer}.fc1"))
        hidden = norm(hidden + linear(inner, f"{layer}.fc2"), f"{layer}.final_layer_norm")
    features = norm(gelu(linear(hidden, "lm_head.dense")), "lm_head.layer_norm")
    return linear(features, "lm_head")


@torch.no_grad()
def logits_of(model, ids):
    return model.eval()(input_ids=ids[None]).logits[0].double()


def test_a_converted_model_computes_what_fairseq_s_does():
    checkpoint = made_checkpoint(width=24, inner=40, layers=2, heads=3, positions=60)
    model = convert(checkpoint)
    for length in (5, 41):
        ids = torch.randint(4, 25, (length,))
        torch.testing.assert_close(logits_of(model, ids), by_hand(checkpoint, ids), rtol=0, atol=1e-5)
    # Queries for keys, a mistake that keeps every shape, is seen.
    swapped = {name.replace("q_proj", "?"): value for name, value in checkpoint["model"].items()}
    swapped = {name.replace("k_proj", "q_proj").replace("?", "k_proj"): value for name, value in swapped.items()}
    other = convert({"args": checkpoint["args"], "model": swapped})
    assert (logits_of(other, ids) - by_hand(checkpoint, ids)).abs().max() > 1e-2


def test_head_and_embedding_stay_one_and_nothing_is_dropped():
    model = convert(made_checkpoint())
    assert model.lm_head.decoder.weight is model.roberta.embeddings.word_embeddings.weight
    assert {module.p for module in model.modules() if isinstance(module, nn.Dropout)} == {0.0}
    assert sum(weight.numel() for weight in model.parameters()) == 568_985


@pytest.mark.parametrize("change", ["missing", "unknown", "wide"])
def test_another_layout_is_refused_by_name(change):
    checkpoint = made_checkpoint()
    state = checkpoint["model"]
    if change == "missing":
        del state["decoder.lm_head.dense.bias"]
    elif change == "unknown":
        state["decoder.sentence_encoder.layers.0.fc3.weight"] = torch.zeros(2)
    else:
        state["decoder.lm_head.dense.bias"] = torch.zeros(7)
    with pytest.raises(LiftError, match=r"lm_head\.dense\.bias" if change != "unknown" else r"layers\.0\.fc3\.weight"):
        convert(checkpoint)


def test_a_checkpoint_brings_numbers_and_no_code(packages, tmp_path):
    assert set(read_checkpoint(checkpoint_path())) == {"args", "model"}
    torch.save({"args": Fraction(1, 2), "model": {}}, tmp_path / "other.pt")
    with pytest.raises(pickle.UnpicklingError):
        read_checkpoint(tmp_path / "other.pt")


def test_a_row_is_tokenised_as_fairseq_does():
    tokenizer = residue_tokenizer()
    assert tokenizer(" ".join("ACDY"))["input_ids"] == [4, 5, 6, 23]
    ids = [tokenizer.bos_token_id, tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.mask_token_id]
    assert ids == [0, 1, 2, 24]


@pytest.mark.usefixtures("real_packages")
def test_the_real_weights_give_the_probabilities_that_their_authors_published():
    model, ids = pretrained_model(), ids_of(CHAIN)
    logits = logits_of(model, ids)
    assert torch.allclose(logits.softmax(-1)[1:6, 4:8], torch.tensor(PUBLISHED).double(), rtol=0, atol=1e-6)
    torch.testing.assert_close(logits, by_hand(read_checkpoint(checkpoint_path()), ids), rtol=0, atol=1e-5)
    best = "".join(TOKENS[token] for token in logits[1:-1].argmax(-1))
    assert best.startswith("QVQLVQSG")  # what the page fills in
