"""The code of docs/analysis.md runs as it stands, and its table has the columns that the page names."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow.parquet as pq

from lift.tasks import sudoku
from lift_kernels import apply_lift_kernels
from tests.lift.support.tiny import tiny_model, tiny_rows
from tests.lift.support.trainers import make_trainer

GUIDE = (Path(__file__).resolve().parents[1] / "docs" / "analysis.md").read_text("utf-8")


VARIANCE, TABLE = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)


def test_the_guide_measures_how_noisy_a_gradient_is(tmp_path, capsys):
    trainer = make_trainer(tmp_path, method="lift3", report_to="none")
    names = {"trainer": trainer, "dataset": trainer.train_dataset}
    exec(VARIANCE.replace("64", "4"), names)
    assert len(names["variance"].moments) == 2 and capsys.readouterr().out.startswith("Estimate(value=")


def test_the_guide_names_what_a_run_logs(tmp_path):
    trainer = make_trainer(tmp_path, method="lift2", report_to="none", max_steps=2)
    trainer.train()
    logged = {key for entry in trainer.state.log_history for key in entry}
    ends = re.findall(r"^\| `NAME(_\w+)` \|", GUIDE, re.MULTILINE)
    assert len(ends) == 3 and {f"t_0.75{end}" for end in ends} <= logged
    assert "frequency_1_to_10_percent" in GUIDE and "easy_kept_log_prob" in logged


def test_the_guide_makes_its_table_and_its_report(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tokenizer = sudoku.build_tokenizer()
    exec(
        TABLE,
        {
            "model": apply_lift_kernels(tiny_model()), "dataset": tiny_rows(8), "tokenizer": tokenizer,
            "mask_token_id": tokenizer.mask_token_id,
        },
    )  # fmt: skip
    assert (tmp_path / "analysis" / "analysis.html").exists()
    table = pq.read_table("analysis/tokens")
    rows = re.findall(r"^\| (`\w+`.*?) \|", GUIDE.partition("## The table")[2], re.MULTILINE)
    names = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert table.column_names == names
