"""What lies in the folder of a table."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest

from lift.analysis import AnalysisTable
from lift.analysis.table import SCHEMA
from lift.errors import LiftError
from lift.tasks import sudoku


def test_any_reader_of_parquet_reads_it_as_one_table(table):
    whole = pq.read_table(table.folder / "tokens")
    assert whole.schema.equals(SCHEMA) and whole.num_rows == sum(len(part["token"]) for part in table.parts())


def test_rows_and_texts_come_back(table, rows):
    assert table.row_ids([3, 9]) == {3: rows[1]["input_ids"], 9: rows[3]["input_ids"]}
    tokenizer, used = sudoku.build_tokenizer(), np.unique(np.concatenate(rows["input_ids"]))
    assert table.texts() == {int(token): tokenizer.decode([token]) for token in used}


@pytest.mark.parametrize("text", [None, "", "[]", '{"format": 1}'])
def test_a_folder_without_a_table_says_so(tmp_path, text):
    if text is not None:
        (tmp_path / "analysis.json").write_text(text)
    with pytest.raises(LiftError, match="holds no table of lift analyze: name the output_dir of one"):
        _ = AnalysisTable(tmp_path).settings
