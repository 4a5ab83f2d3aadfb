"""A table that a kill left half made, several processes, and tables that do not go on."""

from __future__ import annotations

import filecmp
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from datasets import Dataset

from lift.analysis import AnalysisTable
from lift.analysis.summary import summarise
from lift.errors import LiftError
from lift_kernels import apply_lift_kernels
from tests.lift.support.tiny import tiny_model


def same_files(left, right):
    names = sorted(path.relative_to(left.folder) for path in left.folder.rglob("*.parquet"))
    assert names == sorted(path.relative_to(right.folder) for path in right.folder.rglob("*.parquet"))
    return all(filecmp.cmp(left.folder / name, right.folder / name, shallow=False) for name in names)


class Killed(BaseException):
    pass


def test_a_killed_run_makes_only_what_is_missing(table, make_table, tmp_path):
    model = apply_lift_kernels(tiny_model())
    calls = []

    def stop_after_20(*_):
        calls.append(1)
        if len(calls) == 20:
            raise Killed

    hook = model.model.register_forward_pre_hook(stop_after_20)
    with pytest.raises(Killed):
        make_table(tmp_path, model=model)
    made = list(tmp_path.glob("tokens/*"))
    assert 0 < len(made) < table.settings["num_parts"] and not list(tmp_path.rglob(".*"))
    assert [path.suffix for path in made] == [".parquet"] * len(made)
    before = {path: path.stat().st_mtime_ns for path in made}
    hook.remove()
    make_table(tmp_path, model=model)
    assert {path: path.stat().st_mtime_ns for path in made} == before
    assert same_files(make_table(tmp_path, model=model), table)


def test_processes_share_the_parts(table, make_table, tmp_path):
    """Threads stand for them, with a barrier that they wait at; a run by two processes goes on by two others."""
    make_table(tmp_path)
    made = sorted(tmp_path.glob("tokens/*"))
    for part in made[1:]:
        part.unlink()
    barrier, asked = threading.Barrier(2), {0: 0, 1: 0}

    models = [apply_lift_kernels(tiny_model()) for _ in asked]  # here, as their seed is the process's

    def work(rank):
        models[rank].model.register_forward_pre_hook(lambda *_: asked.update({rank: asked[rank] + 1}))
        return make_table(tmp_path, model=models[rank], rank=rank, num_processes=2, wait=lambda: barrier.wait(60))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, (0, 1)))
    assert same_files(table, AnalysisTable(tmp_path))
    alone = sum(asked.values())
    assert min(asked.values()) > 0
    for part in made[1:]:
        part.unlink()
    make_table(tmp_path, model=models[0])
    assert sum(asked.values()) == 2 * alone  # together they did what one does


def test_a_table_of_other_things_is_refused(make_table, tmp_path):
    make_table(tmp_path, ratios=[0.5])
    with pytest.raises(LiftError, match=r"holds a table with weights 0, not 1: go on with the same"):
        make_table(tmp_path, ratios=[0.5], model_seed=1)
    with pytest.raises(LiftError, match="with seed 0, not 1"):
        make_table(tmp_path, ratios=[0.5], seed=1)


@pytest.mark.parametrize(("ratios", "problem"), [([], "at least one"), ([0.0, 0.5], "above 0"), ([1.5], "at most 1")])
def test_bad_ratios(make_table, tmp_path, ratios, problem):
    with pytest.raises(LiftError, match=problem):
        make_table(tmp_path, ratios=ratios)


def test_bad_input_writes_nothing(make_table, tmp_path):
    with pytest.raises(LiftError, match="batch_size must be a whole number of at least 1, or auto, got 'many'"):
        make_table(tmp_path / "new", batch_size="many")
    assert not (tmp_path / "new").exists()


def test_rows_without_responses_and_strange_ids(make_table, tmp_path):
    row = {"input_ids": [2, 3], "prompt_length": 2, "example_id": 0}
    with pytest.raises(LiftError, match="no row has a response"):
        make_table(tmp_path, dataset=Dataset.from_list([row]))
    with pytest.raises(LiftError, match=r"row 0 has the token id 9, outside the model's vocabulary of 8"):
        make_table(tmp_path, dataset=Dataset.from_list([row | {"input_ids": [2, 3, 9]}]))


def test_an_unfinished_table_says_so(make_table, tmp_path):
    table = make_table(tmp_path, ratios=[0.5])
    next(tmp_path.glob("tokens/*")).unlink()
    with pytest.raises(LiftError, match=r"lacks 1 of \d+ parts: run its lift analyze again"):
        list(table.parts())


def test_a_part_in_which_nothing_was_masked(make_table, tmp_path):
    rows = [{"input_ids": [2, 3, 4], "prompt_length": 2, "example_id": n} for n in range(40)]
    table = make_table(tmp_path / "all", dataset=Dataset.from_list(rows), ratios=[1 / 16], tokens_a_part=1)
    lengths = [len(part["token"]) for part in table.parts()]
    assert len(lengths) == 40 and set(lengths) == {0, 1}
    assert summarise(table).tokens.counts.sum() == sum(lengths)
    number = lengths.index(0)
    table = make_table(tmp_path / "none", dataset=Dataset.from_list(rows[number : number + 1]), ratios=[1 / 16])
    with pytest.raises(LiftError, match="has no masked token: analyse more rows"):
        summarise(table)
