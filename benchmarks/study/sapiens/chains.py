"""How well a model writes chains: residue by residue, and as a gene that there is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from benchmarks.study.judging import RowsToJudge
from benchmarks.study.sapiens.genes import NUM_GIVEN, NUM_RESIDUES, Gene, chain_row, germline_genes
from benchmarks.study.sapiens.weights import residue_tokenizer

_WRITTEN = slice(0, NUM_RESIDUES - NUM_GIVEN)  # of a response: the rest of the V gene


class ChainsToJudge:
    """Chains of a species, of which a model writes all but the first framework.

    Args:
        genes: of the chains.
        species: whose J gene they end with, and among whose genes the nearest is looked for.
    """

    def __init__(self, genes: Sequence[Gene], species: str) -> None:
        tokenizer = residue_tokenizer()
        self._rows = RowsToJudge([chain_row(gene, species) for gene in genes], tokenizer)
        self._is_loop = torch.tensor([gene.is_loop for gene in genes])
        self._known = RowsToJudge([chain_row(gene, species) for gene in germline_genes(species)], tokenizer).expected

    def written(self, model: Any, steps: int | None = None) -> dict[str, float]:
        """Let `model` write the chains in `steps` forwards (None: one token each).

        Returns: shares of the V genes' residues, in [0, 1]: `residues` and, of its two loops alone, `loops` are right;
            `nearest` agree with that gene of the species which the chain as a whole is nearest to. Where several genes
            share a prompt, a chain may be one of the others: that is wrong by the first and right by the last.
        """
        written = self._rows.write(model, steps)[:, _WRITTEN]
        is_right = written == self._rows.expected[:, _WRITTEN]
        return {
            "residues": _share(is_right), "loops": _share(is_right[self._is_loop]),
            "nearest": float(nearest_agreement(written, self._known[:, _WRITTEN]).mean()),
        }  # fmt: skip

    def nll(self, model: Any) -> list[float]:
        """Return the mean loss of masked tokens in nats at each of `MASK_RATES`."""
        return self._rows.nll(model)


def nearest_agreement(written: Tensor, known: Tensor) -> Tensor:
    """Return the share of places at which a sequence agrees with the one of `known` that it agrees with most.

    Args:
        written: (rows, length) ids.
        known: (genes, length) ids.

    Returns: (rows,) float64 in [0, 1].
    """
    return (written[:, None] == known).double().mean(-1).amax(1)


def _share(is_right: Tensor) -> float:
    return float(is_right.double().mean())
