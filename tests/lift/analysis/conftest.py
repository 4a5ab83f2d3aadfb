"""A tiny patched model and uneven rows for it, and a table of them."""

from __future__ import annotations

import pytest
from datasets import Dataset

from lift.analysis import analyze
from lift.tasks import sudoku
from lift_kernels import apply_lift_kernels
from tests.lift.support.tiny import tiny_model, uneven_rows

MASK = 1


@pytest.fixture(scope="session")
def rows():
    """24 rows of 5 to 22 tokens, numbered with gaps; token 7 is rare."""
    rows = uneven_rows()
    for row in rows[4:]:
        row["input_ids"] = [min(token, 6) for token in row["input_ids"]]
    return Dataset.from_list([row | {"example_id": 3 * row["example_id"]} for row in rows])


@pytest.fixture(scope="session")
def make_table(rows):
    """Analyses the rows by a model of a seed into a folder."""

    def make(folder, *, model=None, model_seed=0, dataset=rows, **options):
        model = apply_lift_kernels(tiny_model(model_seed)) if model is None else model
        options = {"batch_size": 8, "tokens_a_part": 300, "show_progress": False, "weights": str(model_seed)} | options
        return analyze(
            model, dataset, folder, tokenizer=sudoku.build_tokenizer(), mask_token_id=MASK, **options
        )  # fmt: skip

    return make


@pytest.fixture(scope="session")
def table(make_table, tmp_path_factory):
    return make_table(tmp_path_factory.mktemp("table"))
