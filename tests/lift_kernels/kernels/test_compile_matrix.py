"""Machine code of every launch that the product makes, for GPUs that are not here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest
import triton

from lift_kernels.kernels.launch_configs import ARCHITECTURES, SHARED_MEMORY
from tests.lift_kernels.kernels.compile_matrix import DRAWING_KERNELS
from tests.lift_kernels.kernels.machine_code_budgets import Facts, read_budgets

SET_BUDGETS = "after a change that is meant: python -m tests.lift_kernels.kernels.set_budgets"
ROOT = Path(__file__).resolve().parents[3]
KERNELS = {
    "_add_target_rows_kernel", "_copy_rows_kernel", "_corrupt_tokens_kernel", "_finish_rows_kernel",
    "_merge_partials_kernel", "_merge_samples_kernel", "_row_gradients_kernel", "_sample_rows_kernel", "_select_tokens_kernel",
    "_softmax_rows_kernel", "_tiled_gradient_kernel", "_tiled_samples_kernel", "_tiled_statistics_kernel",
    "_weighted_column_sums_kernel",
}  # fmt: skip
MATRIX_KERNELS = ("_tiled_gradient_kernel", "_tiled_samples_kernel", "_tiled_statistics_kernel")
# What multiplies matrices and what copies to shared memory while others compute, by the start of its name.
MATRIX_INSTRUCTION = {"sm80": "HMMA", "sm90": "HGMMA", "sm100": "UTCHMMA", "sm120": "HMMA", "gfx942": "v_mfma"}
ASYNCHRONOUS_COPY = ("LDGSTS", "UTMALDG", "UBLKCP")
# After the loop over D each ptxas orders what is done with a thread's 64 logits in its own way: bytes, by its release.
SPILLED_ONCE_A_TILE = {
    ((3, 6), "sm100", "_tiled_gradient_kernel"): 32,
    ((3, 6), "sm120", "_tiled_statistics_kernel"): 32,
    ((3, 9), "sm90", "_tiled_statistics_kernel"): 32,
    ((3, 9), "sm100", "_tiled_gradient_kernel"): 32,
    ((3, 9), "sm100", "_tiled_statistics_kernel"): 48,
}


@pytest.fixture(scope="module")
def all_reports() -> list[dict]:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    output = subprocess.run(
        [sys.executable, "-m", "tests.lift_kernels.kernels.compile_matrix", "--unaligned", "sm90", *ARCHITECTURES],
        check=True, capture_output=True, text=True, cwd=ROOT, env=environment,
    ).stdout  # fmt: skip
    return [json.loads(line) for line in output.splitlines()]


@pytest.fixture(scope="module")
def reports(all_reports) -> list[dict]:
    return [r for r in all_reports if r["is_aligned"]]


@pytest.fixture(scope="module")
def budgets(reports) -> dict:
    release, budgets = read_budgets()
    if reports[0]["triton"] != release:
        pytest.skip(f"the budgets are those of triton {release}; on others the tests below hold")
    return budgets


def test_every_launch_is_within_its_budget(reports, budgets):
    facts = {f.launch: f for f in map(Facts.of, reports)}
    assert len(facts) == len(reports), "two launches have one name"
    assert facts.keys() == budgets.keys(), SET_BUDGETS
    beyond = [line for launch, f in facts.items() for line in f.beyond(budgets[launch])]
    assert not beyond, "\n".join([*beyond, SET_BUDGETS])


def test_a_launcher_that_loses_alignment_is_beyond_the_budget(all_reports, budgets):
    (mutant,) = (Facts.of(r) for r in all_reports if not r["is_aligned"])
    beyond = " ".join(mutant.beyond(budgets[mutant.launch]))
    assert re.search(r"bits (16|32), budget 128", beyond) and "accesses" in beyond and "slots" in beyond, beyond


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_kernel_is_in_the_matrix(reports, architecture):
    assert {r["kernel"] for r in reports if r["architecture"] == architecture} == KERNELS


def test_shared_memory_is_within_what_the_architecture_has(reports):
    over = [r for r in reports if r["shared"] > SHARED_MEMORY[r["architecture"]]]
    assert not over, over


def test_nothing_worth_mentioning_is_spilled(reports):
    """Bytes of a thread's registers in memory; on gfx942 their number."""
    over = [
        (r["architecture"], r["kernel"], r["use"], r.get("stack", r.get("spilled")))
        for r in reports
        if r.get("stack", r.get("spilled")) > spill_budget(r)
    ]
    assert not over, "\n".join(map(str, over))


def spill_budget(report: dict) -> int:
    """The same on every release of triton but where it says why; each was compiled with 3.6, 3.7, 3.8 and 3.9."""
    release = tuple(int(number) for number in report["triton"].split(".")[:2])
    architecture, use = report["architecture"], report["use"]
    if report["kernel"] == "_select_tokens_kernel" and "16384" in use:
        # 1024 threads have 64 registers each, and a row is held in them. What spills is read once a row, outside the
        # loop over bits; the compilers of 3.8 and 3.9 spill less.
        return 224 if release < (3, 8) or architecture == "gfx942" else 192
    return SPILLED_ONCE_A_TILE.get((release, architecture, report["kernel"]), 16)


def test_a_loop_over_the_width_spills_nothing(reports):
    over = [
        (r["architecture"], r["kernel"], r["use"], r["hot_loop"]["local"])
        for r in reports
        if r["kernel"] in MATRIX_KERNELS and r["hot_loop"].get("local")
    ]
    assert not over, "\n".join(map(str, over))


def test_registers_leave_room_for_the_programs_that_share_a_multiprocessor(reports):
    """Of its 65536: for four programs of 4 warps that read rows, two of 8 that multiply float32 without tensor cores."""
    sharing = [
        r
        for r in reports
        if r["architecture"] != "gfx942"
        and (
            r["kernel"] == "_softmax_rows_kernel"
            or (r["kernel"] in MATRIX_KERNELS and r["use"].startswith("float32"))
        )
    ]  # fmt: skip
    assert {r["kernel"] for r in sharing} == {"_softmax_rows_kernel", *MATRIX_KERNELS}
    over = [(r["architecture"], r["kernel"], r["use"], r["registers"]) for r in sharing if r["registers"] > 128]
    assert not over, "\n".join(map(str, over))


def test_matrix_kernels_use_the_matrix_units_fed_by_asynchronous_copies(reports):
    for r in reports:
        if r["kernel"] not in MATRIX_KERNELS or (r["use"].startswith("float32") and r["architecture"] != "gfx942"):
            continue  # float32 without tf32 has no matrix unit on NVIDIA GPUs
        # A tile of few rows is too low for what multiplies 64 or 128 at a time.
        few_rows = r["use"].endswith((" 1 rows", " 32 rows"))
        wanted = (
            "HMMA" if few_rows and r["architecture"] in ("sm90", "sm100") else MATRIX_INSTRUCTION[r["architecture"]]
        )
        assert any(name.startswith(wanted) for name in r["instructions"]), r
        if r["architecture"] != "gfx942":
            assert any(name.startswith(ASYNCHRONOUS_COPY) for name in r["instructions"]), r


def test_rows_are_read_and_written_in_vectors_of_16_bytes(reports):
    aligned = [
        r
        for r in reports
        if r["kernel"] in ("_softmax_rows_kernel", "_copy_rows_kernel") and r["architecture"].startswith("sm")
        and r["use"] in ("bfloat16 frozen head", "bfloat16 trained head")
    ]  # fmt: skip
    assert aligned
    for r in aligned:
        assert {"LDG.E.128", "STG.E.128"} <= {name.removesuffix(".CONSTANT") for name in r["instructions"]}, r


def test_noise_is_made_of_sums_and_products_that_are_rounded_each(reports):
    # A softcap's quotient is made of fused ones, and so is a float32 product without tensor cores.
    found = [
        r
        for r in reports
        if r["kernel"] in DRAWING_KERNELS and "softcap" not in r["use"] and not r["use"].startswith("float32")
    ]
    assert {(r["kernel"], r["architecture"]) for r in found} == set(product(DRAWING_KERNELS, ARCHITECTURES))
    if triton.__version__ < "3.7":  # whose ptxas fuses pairs on Blackwell, whatever it is asked, see docs/sampling.md
        found = [r for r in found if r["architecture"] not in ("sm100", "sm120")]
    fused = ("FFMA", "v_fma_f32", "v_fmac_f32", "v_pk_fma_f32", "v_mad_f32", "v_mac_f32")
    assert not [(r["use"], name) for r in found for name in r["instructions"] if name.startswith(fused)]


def test_no_kernel_uses_atomics_or_float64(reports):
    """Sums in an order that is not fixed, and arithmetic that is slow. (sm100 allots tensor memory with ATOMS.)"""
    for r in reports:
        forbidden = ("ATOM.", "ATOMG", "RED.", "REDG", "DFMA", "DADD", "DMUL", "global_atomic", "flat_atomic")
        assert not [name for name in r["instructions"] if name.startswith(forbidden)], r
