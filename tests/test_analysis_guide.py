"""The code of docs/analysis.md runs as it stands, and its table has the columns that the page names."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow.parquet as pq

from lift.tasks import sudoku
from lift_kernels import apply_lift_kernels
from tests.lift.support.tiny import tiny_model, tiny_rows

GUIDE = (Path(__file__).resolve().parents[1] / "docs" / "analysis.md").read_text("utf-8")


def test_the_guide_makes_its_table_and_its_report(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    tokenizer = sudoku.build_tokenizer()
    exec(
        block,
        {
            "model": apply_lift_kernels(tiny_model()), "dataset": tiny_rows(8), "tokenizer": tokenizer,
            "mask_token_id": tokenizer.mask_token_id,
        },
    )  # fmt: skip
    assert (tmp_path / "analysis" / "analysis.html").exists()
    table = pq.read_table("analysis/tokens")
    rows = re.findall(r"^\| (`\w+`.*?) \|", GUIDE, re.MULTILINE)
    names = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert table.column_names == names
