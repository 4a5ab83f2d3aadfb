"""The plan of this domain, its predictions, and the table of the model that all runs start from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from benchmarks.study.domain import Domain
from benchmarks.study.plan import Plan, Setting
from benchmarks.study.predictions import prediction
from benchmarks.study.sapiens.genes import JOINING, NUM_GIVEN, NUM_RESIDUES, germline_genes
from benchmarks.study.sapiens.runs import FEW_STEPS, MORE_STEPS, make_base, make_run
from benchmarks.study.sapiens.weights import checkpoint_path
from benchmarks.study.tables import markdown

FULL = Plan(
    {"mouse": Setting("mouse", 60, 1e-3, from_base=True)},
    methods=("sft", "lift3", "hard", "reversed", "sft_x1.22", "sft_x1.34"), beside=(), num_starts=1, num_seeds=12,
    train_rows=100, test_rows=72, kept_rows=85,
)  # fmt: skip
QUICK = replace(
    FULL, settings={"mouse": Setting("mouse", 2, 1e-3, from_base=True)}, methods=("sft", "hard"), num_seeds=1,
    train_rows=8, test_rows=2, kept_rows=2,
)  # fmt: skip

PREDICTIONS = (
    prediction("mouse", "residues", "lift3", "sft_x1.22", "worse", "", 45, is_primary=True),
    prediction("mouse", "residues", "hard", "sft_x1.34", "alike", "", 45, is_primary=True),
    prediction("mouse", "residues", "lift3", "sft", "alike", "-1.2", 45),
    prediction("mouse", "residues", "hard", "sft", "better", "+1.7", 55),
    prediction("mouse", "residues", "lift3", "reversed", "alike", "", 45),
    prediction("mouse", "residues@4", "lift3", "sft", "alike", "-0.4", 50),
    prediction("mouse", "residues@4", "hard", "sft", "alike", "+0.4", 50),
    prediction("mouse", "nearest", "lift3", "sft", "alike", "", 40),
    prediction("mouse", "nearest", "hard", "sft", "better", "", 50),
    prediction("mouse", "nll", "lift3", "sft", "worse", "+0.039", 85),
    prediction("mouse", "nll", "hard", "sft", "worse", "+0.016", 75),
    prediction("mouse", "kept residues", "lift3", "sft", "worse", "-12.4", 45),
    prediction("mouse", "kept residues", "hard", "sft", "worse", "-10.9", 45),
)


def base_table(lines: Iterable[Mapping[str, Any]], plan: Plan) -> str:
    """Return how well the pretrained model writes chains before any fine-tuning."""
    columns = {
        f"mouse residues, {MORE_STEPS} steps": (f"residues@{MORE_STEPS}", "{:.1%}"),
        "of loops": (f"loops@{MORE_STEPS}", "{:.1%}"),
        "of the nearest gene": (f"nearest@{MORE_STEPS}", "{:.1%}"),
        "mouse NLL": ("nll", "{:.4f}"),
        f"human residues, {MORE_STEPS} steps": ("kept residues", "{:.1%}"),
        "human NLL": ("kept NLL", "{:.4f}"),
    }
    of_base = [line["found"] for line in lines if line["job"]["kind"] == "base"]
    return markdown([*columns], [[form.format(found[name]) for name, form in columns.values()] for found in of_base])


def check_packages() -> None:
    """Raise LiftError where the packages that hold weights and genes are missing, or are other versions."""
    checkpoint_path()
    for species in JOINING:
        germline_genes(species)


SAPIENS = Domain(
    title="Where LIFT helps, on Sapiens: what was found",
    folder="study-sapiens",
    full=FULL,
    quick=QUICK,
    makers={"base": make_base, "run": make_run},
    outcomes=(
        "residues",
        "residues@16",
        "residues@4",
        "loops",
        "nearest",
        "nearest@4",
        "nll",
        "kept residues",
        "kept NLL",
    ),
    decoding_steps=lambda _: {
        f"residues@{FEW_STEPS}": FEW_STEPS,
        f"residues@{MORE_STEPS}": MORE_STEPS,
        "residues": NUM_RESIDUES - NUM_GIVEN + len(JOINING["mouse"]) + 1,
    },
    predictions=PREDICTIONS,
    starts=("The pretrained model", base_table),
    check=check_packages,
)
