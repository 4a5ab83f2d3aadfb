from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.study.plan import Job
from benchmarks.study.sapiens import runs
from benchmarks.study.sapiens.domain import FULL, QUICK
from benchmarks.study.sapiens.runs import make_base, make_run, mouse_genes
from lift.errors import LiftError


def run_of(seed, method="sft"):
    return Job("run", "mouse", 0, seed, method)


@pytest.mark.usefixtures("packages")
def test_a_split_is_the_seed_s_and_no_gene_is_on_both_sides():
    plan = replace(QUICK, train_rows=12, test_rows=9)
    trained, tested = mouse_genes(run_of(3), plan)
    assert (len(trained), len(tested)) == (12, 9) and not {*trained} & {*tested}
    assert mouse_genes(run_of(3, "hard"), plan) == (trained, tested)
    assert mouse_genes(run_of(4), plan)[1] != tested
    # Fewer to judge by leave those that are judged: a smaller plan is no other study.
    assert mouse_genes(run_of(3), replace(plan, test_rows=4))[1] == tested[:4]
    with pytest.raises(LiftError, match=r"21 mouse genes, and 12 \+ 10 are to be drawn"):
        mouse_genes(run_of(3), replace(plan, test_rows=10))


@pytest.mark.usefixtures("packages")
def test_methods_of_a_seed_see_the_same_rows_and_noise_from_the_pretrained_weights(tmp_path, monkeypatch):
    make_base(Job("base"), tmp_path, QUICK)
    seen = {}

    def train(model, rows, tokenizer, **options):
        first = model.roberta.embeddings.word_embeddings.weight[0].tolist()
        seen[method] = (rows, options["seed"], options["per_device_train_batch_size"], first, options["steps"])
        from lift_kernels import apply_lift_kernels

        apply_lift_kernels(model)  # as training does: the loss is that of the patched model

    monkeypatch.setattr(runs, "train", train)
    monkeypatch.setattr(runs.ChainsToJudge, "written", lambda *_: {"residues": 0.5, "loops": 0.5, "nearest": 0.5})
    plan = replace(QUICK, settings=FULL.settings)
    for method in FULL.methods:
        make_run(run_of(1, method), tmp_path, plan)
    assert {method: found[4] for method, found in seen.items()} == {
        "sft": 60, "lift3": 60, "hard": 60, "reversed": 60, "sft_x1.22": 73, "sft_x1.34": 80,
    }  # fmt: skip
    assert all(found[:4] == seen["sft"][:4] for found in seen.values())
    assert seen["sft"][2] == 16
    assert [row.prompt.split() for row in seen["sft"][0]] == [
        [*gene.residues[:25]] for gene in mouse_genes(run_of(1), plan)[0]
    ]
