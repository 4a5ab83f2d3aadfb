"""What counts as beyond a budget, how many programs share a multiprocessor, and the bounds that follow."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.lift_kernels.kernels.machine_code_bounds import GPUS, bounds, write_document
from tests.lift_kernels.kernels.machine_code_budgets import Facts, read_budgets, write_table

REPORT = {
    "kernel": "_softmax_rows_kernel", "use": "bfloat16 frozen head", "architecture": "sm90", "num_warps": 4,
    "blocks": {"BLOCK_V": 2048}, "registers": 80, "shared": 64,
    "hot_loop": {
        "slots": 272, "special": 16, "bytes read": 64, "bytes written": 32, "bits": 128, "accesses": 6, "barriers": 3
    },
}  # fmt: skip
ROWS = Facts.of(REPORT)
TILES = Facts.of(
    {**REPORT, "kernel": "_tiled_gradient_kernel", "num_warps": 8, "blocks": {"N": 128, "V": 256, "D": 64},
     "registers": 254, "shared": 196608, "hot_loop": {"slots": 128, "matrix": 4, "bytes read": 192}}
)  # fmt: skip


def test_loops_over_logits_are_counted_for_each_logit():
    assert (ROWS.slots, ROWS.special, ROWS.read, ROWS.written, ROWS.accesses) == (17, 1, 4, 2, 0.38)
    assert (TILES.slots, TILES.read) == (128, 192)


@pytest.mark.parametrize(
    "architecture, warps, registers, shared, programs",
    [
        ("sm90", 4, 80, 0, 6), ("sm90", 4, 81, 0, 5), ("sm90", 8, 255, 196608, 1), ("sm90", 1, 32, 0, 32),
        ("sm90", 4, 32, 57 << 10, 3), ("sm120", 4, 40, 0, 12), ("gfx942", 2, 128, 0, 8), ("gfx942", 8, 64, 32768, 2),
    ],
)  # fmt: skip
def test_programs_that_share_a_multiprocessor(architecture, warps, registers, shared, programs):
    given = {"architecture": architecture, "num_warps": warps, "registers": registers, "shared": shared}
    assert Facts.of({**REPORT, **given}).programs == programs


def test_more_work_narrower_accesses_and_fewer_programs_are_beyond_a_budget():
    assert ROWS.beyond(ROWS) == []
    assert replace(ROWS, slots=18, registers=70, bits=256, programs=7, barriers=0, read=3.9).beyond(ROWS) == []
    for name, value in {
        "slots": 19, "special": 1.2, "registers": 89, "bits": 64, "programs": 5, "read": 4.1, "written": 2.1,
        "barriers": 4, "local": 1, "accesses": 0.5, "matrix": 1,
    }.items():  # fmt: skip
        (line,) = replace(ROWS, **{name: value}).beyond(ROWS)
        assert line.startswith(f"softmax_rows / bfloat16 frozen head / sm90: {name} {value:g}, budget ")


def test_a_table_is_read_as_it_was_written():
    assert read_budgets(write_table([ROWS, TILES], "3.7.1")) == ("3.7.1", {ROWS.launch: ROWS, TILES.launch: TILES})


def test_the_page_is_that_of_the_budgets():
    release, budgets = read_budgets()
    page = Path(__file__).resolve().parents[3] / "docs" / "machine_code.md"
    assert page.read_text() == write_document(budgets.values(), release)


def test_bounds():
    h100 = bounds(ROWS, GPUS["sm90"])
    assert h100 == pytest.approx(
        {"issue": 1.744e12, "special": 3.706e12, "cache": 1.498e12, "memory": 0.5583e12}, rel=1e-3
    )
    # 4.2 million operations by 8 warps of 128 slots, four at a time, and with 48 KB from the cache.
    assert bounds(TILES, GPUS["sm90"]) == pytest.approx({"issue": 3796e12, "cache": 766.7e12}, rel=1e-3)


def test_the_document_shows_facts_and_the_least_bound():
    document = write_document([ROWS, replace(ROWS, architecture="sm120"), TILES], "3.7.1")
    rows = "| bfloat16 frozen head | H100 SXM | 80 | 6 | 3 | 17 | 1 | 4 + 2 | 128 | 1.7 | 3.7 | 1.5 | **0.56** |"
    assert document.count("| bfloat16 frozen head |") == 1 and rows in document
    assert "| gradient: bfloat16 frozen head | H100 SXM | 128x256x64 | 254 | 1 | 0 | 128 | 4 | 48 |" in document
