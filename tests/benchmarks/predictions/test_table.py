from __future__ import annotations

from pathlib import Path

from benchmarks.predictions.table import ROWS, table

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "gpu_predictions.md"


def test_the_document_holds_the_table_of_today_and_says_that_it_is_no_measurement():
    text = DOCUMENT.read_text()
    assert table() in text and "not measurements" in text


def test_every_count_of_rows_is_there_twice():
    lines = table().splitlines()
    assert len(lines) == 2 + 2 * len(ROWS) and all(line.count("|") == 7 for line in lines)
