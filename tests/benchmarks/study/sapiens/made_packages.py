"""Packages of the layout of sapiens and abstar, with random weights and genes."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import numpy as np
import torch

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"
_CODON = {"A": "GCT", "C": "TGC", "D": "GAT", "E": "GAG", "F": "TTC", "G": "GGA", "H": "CAC", "I": "ATA", "K": "AAG", "L": "CTG", "M": "ATG", "N": "AAC", "P": "CCA", "Q": "CAG", "R": "AGA", "S": "TCT", "T": "ACT", "V": "GTG", "W": "TGG", "Y": "TAC", "*": "TAG"}  # fmt: skip


def made_checkpoint(width: int = 128, inner: int = 256, layers: int = 4, heads: int = 8, positions: int = 146) -> dict:
    """A checkpoint of fairseq's RoBERTa, random, with a head that shares the embedding's weights."""
    generator = torch.Generator().manual_seed(0)

    def linear(name, out, into):
        return {
            f"{name}.weight": torch.randn(out, into, generator=generator) / into**0.5,
            f"{name}.bias": torch.randn(out, generator=generator) / 5,
        }

    def norm(name):
        noise = torch.randn(2, width, generator=generator) / 5
        return {f"{name}.weight": 1 + noise[0], f"{name}.bias": noise[1]}

    encoder = "decoder.sentence_encoder"
    tokens = torch.randn(25, width, generator=generator) / width**0.5
    model = {
        f"{encoder}.embed_tokens.weight": tokens,
        f"{encoder}.embed_positions.weight": torch.randn(positions, width, generator=generator) / 10,
        **norm(f"{encoder}.emb_layer_norm"),
        "decoder.lm_head.weight": tokens,
        "decoder.lm_head.bias": torch.randn(25, generator=generator),
        **linear("decoder.lm_head.dense", width, width),
        **norm("decoder.lm_head.layer_norm"),
    }
    for number in range(layers):
        layer = f"{encoder}.layers.{number}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            model |= linear(f"{layer}.self_attn.{part}", width, width)
        model |= linear(f"{layer}.fc1", inner, width) | linear(f"{layer}.fc2", width, inner)
        model |= norm(f"{layer}.self_attn_layer_norm") | norm(f"{layer}.final_layer_norm")
    sizes = Namespace(
        encoder_embed_dim=width, encoder_ffn_embed_dim=inner, encoder_layers=layers, encoder_attention_heads=heads
    )
    return {"args": sizes, "model": model}


def numbered_gene(rng: np.random.Generator) -> str:
    """98 residues in IMGT's numbering: a framework of 25, loops of 8 and 8, with the gaps that such a gene has."""
    letters = "".join(rng.choice(list(AMINO_ACIDS), 98))
    parts, start = [], 0
    for length, gap in ((9, "."), (16, ""), (4, "...."), (4, ""), (17, ""), (3, ".."), (5, ""), (7, "."), (33, "")):
        parts.append(letters[start : start + length] + gap)
        start += length
    return "".join(parts)


def nucleotides(numbered: str) -> str:
    return "".join("..." if residue == "." else _CODON[residue] for residue in numbered)


def fasta(numbered: list[str], gene: str = "IGHV") -> str:
    """Entries of small letters in lines of 60, as of the real file."""
    entries = []
    for number, residues in enumerate(numbered):
        bases = nucleotides(residues).lower()
        lines = [bases[start : start + 60] for start in range(0, len(bases), 60)]
        entries.append(f">{gene}0-{number}*00__made\n" + "\n".join(lines) + "\n")
    return "".join(entries)


def write_packages(folder: Path) -> dict[str, Path]:
    """Write both packages; return the files that are read: `weights`, and the genes by strain."""
    weights = folder / "sapiens" / "models" / "v1" / "checkpoint_vh.pt"
    weights.parent.mkdir(parents=True)
    # Importing them would need what a machine does not have: they are read only.
    (folder / "sapiens" / "__init__.py").write_text("raise ImportError('fairseq')\n")
    torch.save(made_checkpoint(), weights)
    (folder / "abstar").mkdir()
    (folder / "abstar" / "__init__.py").write_text("raise ImportError('parasail')\n")
    rng, files = np.random.default_rng(0), {"weights": weights}
    shared = [numbered_gene(rng) for _ in range(3)]
    for strain in ("balbc", "c57bl6", "human"):
        genes = [numbered_gene(rng) for _ in range(9)]
        light = fasta([numbered_gene(rng)], "IGKV")
        unused = [genes[0][:-1] + "*", genes[1] + "A", genes[2][:-1]]  # a stop, too long, too short
        files[strain] = folder / "abstar" / "germline_dbs" / "bcr" / strain / "imgt_gapped" / "v.fasta"
        files[strain].parent.mkdir(parents=True)
        files[strain].write_text(light + fasta([*genes, *unused, *(shared if strain != "human" else ())]))
    return files
