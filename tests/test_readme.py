"""The README's examples run as they stand, it is short, and its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertForMaskedLM

from tests.docs.pages import blocks, documents

ROOT = Path(__file__).resolve().parents[1]


def test_examples_run(capsys):
    tensors, patched = blocks("README.md", "python")
    torch.manual_seed(0)
    names: dict[str, object] = {}
    exec(tensors, names)
    before, after = map(float, capsys.readouterr().out.split())
    assert after == pytest.approx(before, rel=1e-5) and before > 1
    gradients = [p.grad.clone() for p in (names["head"].weight, names["head"].bias, names["backbone"].weight)]
    names["head"].zero_grad(), names["backbone"].zero_grad()
    names["before"].backward()
    for one, other in zip(gradients, (names["head"].weight, names["head"].bias, names["backbone"].weight), strict=True):
        torch.testing.assert_close(one, other.grad, rtol=1e-4, atol=1e-6)

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    names["model"] = BertForMaskedLM(BertConfig(vocab_size=1000, max_position_embeddings=128, **sizes))
    exec(patched, names)
    assert names["outputs"].logits is None and names["outputs"].loss > 0


def test_it_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 100


def test_every_link_and_picture_is_there():
    for document in documents():
        for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / document).read_text()):
            is_there = (ROOT / document).parent.joinpath(target).exists()
            assert target.startswith("http") or is_there, f"{document}: {target}"
