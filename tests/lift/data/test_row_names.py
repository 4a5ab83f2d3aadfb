"""A row's name is its file and its number there, however the rows were joined and split."""

from __future__ import annotations

import json
from pathlib import Path

from datasets import Dataset

from lift.data.loading import load_named_rows
from lift.data.row_names import RowNames


def test_without_a_source_the_number_is_the_name() -> None:
    assert RowNames()(3) == "row 3 (counted from 0)" and RowNames(first=2)(3) == "row 5 (counted from 0)"


def test_each_row_of_several_files_is_found_again(tmp_path: Path) -> None:
    contents = {tmp_path / "a.jsonl": ["a0", "a1"], tmp_path / "b.jsonl": ["b0"], tmp_path / "c.jsonl": ["c0", "c1"]}
    for path, texts in contents.items():
        path.write_text("".join(json.dumps({"prompt": text}) + "\n\n" for text in texts))
    rows, names = load_named_rows(str(tmp_path / "*.jsonl"), limit=4)
    for first in range(4):
        for index, row in enumerate(rows.select(range(first, 4))):
            path = tmp_path / f"{row['prompt'][0]}.jsonl"
            assert names.after(first)(index) == f"{path}: row {row['prompt'][1]} (counted from 0)"


def test_rows_of_a_saved_data_set_are_named_by_its_folder(tmp_path: Path) -> None:
    Dataset.from_dict({"prompt": ["a", "b"]}).save_to_disk(tmp_path / "saved")
    assert load_named_rows(tmp_path / "saved")[1](1) == f"{tmp_path / 'saved'}: row 1 (counted from 0)"
