from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks.study.sapiens.genes import (
    JOINING,
    chain_row,
    gene_of,
    germline_genes,
    translated,
)
from lift.errors import LiftError
from tests.benchmarks.study.sapiens.made_packages import AMINO_ACIDS, nucleotides

GENE = "QVQLQQPGA.ELVKPGASVKLSCKASGYTF....TSYWMHWVKQRPGRGLEWIGRIDPN..SGGTKYNEKFK.SKATLTVDKPSSTAYMQLSSLTSEDSAVYYCAR"


def test_codons_become_residues_and_empty_ones_gaps():
    assert translated("ATGTGG...TAATTTNGG") == "MW.*FX"
    assert translated("ATGTG") == "M"  # a codon that is not whole is none
    assert translated(nucleotides(AMINO_ACIDS + ".*")) == AMINO_ACIDS + ".*"


def test_loops_are_those_of_the_numbering():
    gene = gene_of(GENE)
    assert gene.residues == GENE.replace(".", "")
    loops = [residue for residue, is_loop in zip(gene.residues[25:], gene.is_loop, strict=True) if is_loop]
    assert "".join(loops) == "GYTFTSYW" + "IDPNSGGT"  # CDR1 and CDR2 of IGHV1-72, by IMGT's definition


@pytest.mark.parametrize("change", [lambda gene: gene[:-1], lambda gene: gene + "D", lambda gene: gene[:-1] + "*", lambda gene: "X" + gene[1:], lambda gene: gene.replace(".", "A", 1)[:-1]])  # fmt: skip
def test_genes_of_other_forms_are_left_out(change):
    assert gene_of(change(GENE)) is None


def test_each_sequence_is_there_once_in_an_order_of_its_own(packages):
    mouse, human = germline_genes("mouse"), germline_genes("human")
    assert len(mouse) == 9 + 9 + 3 and len(human) == 9  # three are in both strains; light chains are not read
    assert mouse == sorted(mouse, key=lambda gene: gene.residues)
    assert len({gene.residues for gene in mouse}) == len(mouse)


def test_a_row_is_the_first_framework_and_the_rest_with_the_j_gene():
    prompt, response = chain_row(gene_of(GENE), "mouse")
    assert prompt.split() == [*"QVQLQQPGAELVKPGASVKLSCKAS"]
    assert (
        response.replace(" ", "")
        == "GYTFTSYWMHWVKQRPGRGLEWIGRIDPNSGGTKYNEKFKSKATLTVDKPSSTAYMQLSSLTSEDSAVYYCARYFDYWGQGTTLTVSS"
    )


def test_a_file_that_changed_is_refused(packages):
    packages["human"].write_text(packages["human"].read_text() + ">IGHV0-9*00\nATG\n")
    with pytest.raises(LiftError, match="not the file that the protocol names"):
        germline_genes("human")


@pytest.mark.usefixtures("real_packages")
def test_the_real_genes_are_as_many_as_the_protocol_says():
    mouse, human = germline_genes("mouse"), germline_genes("human")
    assert (len(mouse), len(human)) == (172, 85)
    assert gene_of(GENE) in mouse
    assert not {gene.residues for gene in mouse} & {gene.residues for gene in human}


@pytest.mark.usefixtures("real_packages")
@pytest.mark.parametrize(("species", "strain", "name"), [("mouse", "balbc", "IGHJ0-ICAF"), ("human", "human", "IGHJ4*02")])  # fmt: skip
def test_the_j_genes_are_those_of_the_package(species, strain, name):
    (folder,) = find_spec("abstar").submodule_search_locations
    text = (Path(folder) / f"germline_dbs/bcr/{strain}/imgt_gapped/j.fasta").read_text()
    (entry,) = (entry for entry in text.split(">") if entry.startswith(name))
    bases = "".join(entry.split()[1:])
    assert JOINING[species] in {translated(bases[frame:]) for frame in range(3)}
