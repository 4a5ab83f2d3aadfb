"""The jobs of this domain: Sapiens as others made it, and runs that fine-tune it on mouse chains."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from benchmarks.study.methods import METHODS
from benchmarks.study.model import save_model
from benchmarks.study.plan import Job, Plan
from benchmarks.study.sapiens.chains import ChainsToJudge
from benchmarks.study.sapiens.genes import Gene, chain_row, germline_genes
from benchmarks.study.sapiens.weights import pretrained_model, residue_tokenizer, untrained_model
from benchmarks.study.starts import start_path
from benchmarks.study.streams import seed_of, stream
from benchmarks.study.training import train
from lift.errors import LiftError
from lift.evaluation.weights_digest import weights_digest
from lift_kernels import apply_lift_kernels

MORE_STEPS, FEW_STEPS = 16, 4
_BATCH = 16


def mouse_genes(job: Job, plan: Plan) -> tuple[list[Gene], list[Gene]]:
    """Return the genes that a run trains on and those that it is judged by, a split that is the seed's alone.

    Raises:
        LiftError: there are fewer genes than the plan asks for.
    """
    genes = germline_genes("mouse")
    if len(genes) < plan.train_rows + plan.test_rows:
        raise LiftError(
            f"there are {len(genes)} mouse genes, and {plan.train_rows} + {plan.test_rows} are to be drawn: lower "
            "train_rows or test_rows."
        )
    order = stream("genes", job.setting, job.seed).permutation(len(genes))
    drawn = [genes[place] for place in order]
    return drawn[plan.test_rows :][: plan.train_rows], drawn[: plan.test_rows]


def kept(model: Any, plan: Plan) -> dict[str, float]:
    """Return how well `model` still writes human chains, in `MORE_STEPS` forwards, and their loss in nats."""
    human = ChainsToJudge(germline_genes("human")[: plan.kept_rows], "human")
    nll = human.nll(model)
    return {"kept residues": human.written(model, MORE_STEPS)["residues"], "kept NLL": sum(nll) / len(nll)}


def make_base(job: Job, folder: Path, plan: Plan) -> dict[str, Any]:
    """Convert the pretrained model, keep it, and judge it on as many mouse chains as runs draw, and on human ones."""
    model = pretrained_model()
    save_model(model, start_path(folder, job, plan))
    mouse = ChainsToJudge(germline_genes("mouse")[: plan.train_rows + plan.test_rows], "mouse")
    written = mouse.written(model, MORE_STEPS)
    apply_lift_kernels(model)
    nll = mouse.nll(model)
    return {
        **{f"{name}@{MORE_STEPS}": share for name, share in written.items()}, "nll": sum(nll) / len(nll),
        **kept(model, plan), "weights": weights_digest(model),
    }  # fmt: skip


def make_run(job: Job, folder: Path, plan: Plan) -> dict[str, Any]:
    """Fine-tune and judge; shares are in [0, 1], losses in nats."""
    setting, method = plan.settings[job.setting], METHODS[job.method]
    trained, tested = mouse_genes(job, plan)
    model = untrained_model()
    model.load_state_dict(load_file(start_path(folder, job, plan)))
    began = time.perf_counter()
    train(
        model, [chain_row(gene, "mouse") for gene in trained], residue_tokenizer(),
        steps=round(setting.steps * method.step_factor), seed=seed_of("noise", job.setting, job.seed),
        learning_rate=setting.learning_rate, lr_scheduler_type="linear", per_device_train_batch_size=_BATCH,
        trainer=method.trainer, **method.options,
    )  # fmt: skip
    seconds = time.perf_counter() - began
    judged, few = ChainsToJudge(tested, "mouse"), f"@{FEW_STEPS}"
    nll = judged.nll(model)
    return {
        **judged.written(model),
        f"residues@{MORE_STEPS}": judged.written(model, MORE_STEPS)["residues"],
        **{f"{name}{few}": share for name, share in judged.written(model, FEW_STEPS).items()},
        "nll": sum(nll) / len(nll), "nll_by_rate": nll, **kept(model, plan), "weights": weights_digest(model),
        "seconds": {"training": seconds},
    }  # fmt: skip
