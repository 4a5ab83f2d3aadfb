"""Chains of germline genes of antibodies, as residues: what is given of a chain, and what is to be written.

Source: the Open Germline Receptor Database (Lees et al., Nucleic Acids Research 48:D964, 2020), human IGH revision 9,
BALB/c and C57BL/6 IGH revision 3, in the numbering of IMGT, as the package abstar 0.8.0 (MIT) holds them. They are read
from there and not copied here.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import NamedTuple

from benchmarks.study.sapiens.packages import package_file
from benchmarks.study.tasks import Row

NUM_RESIDUES = 98
"""Of every gene that is used: the commonest length in both species, so that rows are alike."""

NUM_GIVEN = 25
"""Residues of a prompt, the first framework."""

JOINING = {"mouse": "YFDYWGQGTTLTVSS", "human": "YFDYWGQGTLVTVSS"}
"""IGHJ2*01 (IGHJ0-ICAF in OGRDB) and IGHJ4*02, which follow the V gene: Sapiens knows whole chains only."""

_FRAMEWORK_1 = 26  # places in IMGT's numbering, from here on; one of them is empty in heavy chains
_LOOPS = ((26, 38), (55, 65))  # CDR1 and CDR2, behind the first place's index
_SHA256 = {
    "balbc": "b30a258dd2ea5fac32b37159f74c8f56e82b0fa2889793cd54726e214cba0f40",
    "c57bl6": "175c83a08270ddcb58f59d7584f9592d2eaf3ab9ee514fcad83ec411410dbfe1",
    "human": "fe191a0fea25150dd784b195dae7898f21f8d3eb664dd348038be87c384c9b47",
}
_STRAINS = {"mouse": ("balbc", "c57bl6"), "human": ("human",)}
_GAP, _UNKNOWN, _STOP = ".", "X", "*"
_CODONS = dict(
    zip(
        map("".join, product("TCAG", repeat=3)),
        "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG",  # the standard code in this order
        strict=True,
    )
)


class Gene(NamedTuple):
    """A V gene's residues."""

    residues: str
    """`NUM_RESIDUES` letters."""

    is_loop: tuple[bool, ...]
    """(NUM_RESIDUES - NUM_GIVEN,) which of its residues in the response belong to CDR1 or CDR2."""


def chain_row(gene: Gene, species: str) -> Row:
    """Return the chain of a V gene: its first framework as the prompt, the rest and the J gene as the response."""
    chain = gene.residues + JOINING[species]
    return Row(" ".join(chain[:NUM_GIVEN]), " ".join(chain[NUM_GIVEN:]))


def germline_genes(species: str) -> list[Gene]:
    """Return the genes of "mouse" or "human" that have the common length and no stop, each sequence of residues once.

    They are in alphabetical order.

    Raises:
        LiftError: the package that holds them is not installed, or is another version.
    """
    genes = {
        gene.residues: gene
        for strain in _STRAINS[species]
        for sequence in heavy_chain_sequences(_path(strain))
        if (gene := gene_of(translated(sequence))) is not None
    }
    return [genes[residues] for residues in sorted(genes)]


def heavy_chain_sequences(path: Path) -> Iterable[str]:
    """Yield the nucleotides of the heavy-chain genes in a FASTA file, in capitals."""
    for entry in path.read_text(encoding="ascii").split(">")[1:]:
        name, *lines = entry.split()
        if name.startswith("IGHV"):
            yield "".join(lines).upper()


def translated(nucleotides: str) -> str:
    """Return residues in IMGT's numbering: a dot where a codon is empty, * for a stop, X for what is no codon."""
    codons = (nucleotides[start : start + 3] for start in range(0, len(nucleotides) - 2, 3))
    return "".join(_GAP if _GAP in codon else _CODONS.get(codon, _UNKNOWN) for codon in codons)


def gene_of(numbered: str) -> Gene | None:
    """Return the gene of numbered residues, None if it has another length, a stop or an unknown residue."""
    residues = numbered.replace(_GAP, "")
    given = numbered[:_FRAMEWORK_1].replace(_GAP, "")
    if (len(residues), len(given)) != (NUM_RESIDUES, NUM_GIVEN) or {_UNKNOWN, _STOP} & set(residues):
        return None
    is_loop = tuple(
        any(first <= place < last for first, last in _LOOPS)
        for place, residue in enumerate(numbered)
        if residue != _GAP and place >= _FRAMEWORK_1
    )
    return Gene(residues, is_loop)


def _path(strain: str) -> Path:
    return package_file("abstar", f"germline_dbs/bcr/{strain}/imgt_gapped/v.fasta", _SHA256[strain])
