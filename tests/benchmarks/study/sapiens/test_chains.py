from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers.modeling_outputs import MaskedLMOutput

from benchmarks.study.sapiens.chains import ChainsToJudge, nearest_agreement
from benchmarks.study.sapiens.genes import chain_row, germline_genes
from benchmarks.study.sapiens.weights import TOKENS, residue_tokenizer


class Writer(nn.Module):
    """Writes one response whatever it is asked."""

    def __init__(self, response):
        super().__init__()
        self.ids = residue_tokenizer()(response)["input_ids"] + [TOKENS.index("</s>")]

    def forward(self, input_ids, **_):
        logits = torch.zeros(*input_ids.shape, len(TOKENS))
        for place, token in enumerate(self.ids, start=input_ids.shape[1] - len(self.ids)):
            logits[:, place, token] = 9.0
        return MaskedLMOutput(logits=logits)


def test_the_nearest_is_that_of_most_agreements():
    written = torch.tensor([[1, 2, 3, 4], [9, 8, 7, 4]])
    known = torch.tensor([[1, 2, 9, 9], [1, 9, 3, 4], [0, 0, 0, 3]])
    assert nearest_agreement(written, known).tolist() == [0.75, 0.25]


def test_residues_of_the_v_gene_are_counted_and_the_nearest_is_any_gene_of_the_species(packages):
    first, second, third, *_ = germline_genes("mouse")
    found = ChainsToJudge([first, second], "mouse").written(Writer(chain_row(third, "human").completion), 4)
    pairs = [
        (a == b, is_loop)
        for gene in (first, second)
        for a, b, is_loop in zip(gene.residues[25:], third.residues[25:], gene.is_loop, strict=True)
    ]
    assert found["residues"] == pytest.approx(sum(same for same, _ in pairs) / 146)
    assert found["loops"] == pytest.approx(sum(same for same, is_loop in pairs if is_loop) / 32)
    assert found["nearest"] == 1.0  # the third gene; the J gene, which is the other species', does not count
