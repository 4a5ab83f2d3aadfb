"""The table of methods: what it says is true of the files that it names."""

from __future__ import annotations

from importlib import import_module

import pytest

from lift.objectives import EASY, HARD, METHODS, MIDDLE, MODES, complementary_problem
from lift.objectives.methods import modes_of, time_density_problem
from lift.objectives.micro_batch import build_training_batch
from tests.lift.support.clean_rows import clean_rows


@pytest.mark.parametrize("method", METHODS)
def test_a_line_of_the_table_is_true_of_what_is_built(method):
    """It masks more than it trains, divides by what it drew, or weights by more than the time, only if it says so."""
    entry, scored, rows = METHODS[method], [], clean_rows(method)

    def score(corrupted_ids, labels, order):
        scored.append(order)
        return rows.score(corrupted_ids, labels, order)

    prepared = build_training_batch(clean_rows(method, score=score))
    assert (len(scored) == 1) == entry.selects_tokens == (prepared.rejected is not None)
    assert set(entry.modes) == (set(scored[0].tolist()) if scored else set())
    batch, is_trained = prepared.batch, prepared.batch.labels != -100
    assert len(batch.labels) == entry.num_views * len(rows.clean_ids)
    assert batch.denominator == prepared.maskable.sum()
    assert (batch.denominator == entry.num_views * rows.maskable.sum()) != entry.own_denominator
    importance = 1 if rows.draws.importance is None else rows.draws.importance
    timestep = (rows.draws.timestep / importance).repeat(entry.num_views)
    is_weight_of_the_time = (batch.token_weight * timestep[:, None] - 1)[is_trained].abs().max() < 1e-5
    assert bool(is_weight_of_the_time) != entry.own_weights


@pytest.mark.parametrize("method", METHODS)
def test_a_method_has_a_line_and_a_file(method):
    entry = METHODS[method]
    assert callable(import_module(f"lift.objectives.{entry.module}").build)
    assert entry.summary and not entry.summary.endswith(".") and "\n" not in entry.summary


def test_examples_cannot_share_a_row_where_a_token_counts_by_its_row():
    assert [name for name, entry in METHODS.items() if entry.reads_row] == ["cart", "blockwise", "puma"]


def test_modes_have_the_signs_that_selection_ranks_by():
    assert MODES == {"easy": 1, "middle": 0, "hard": -1}
    assert modes_of("lift3") == (MIDDLE, EASY, HARD) and modes_of("lift2") == (EASY, HARD)


@pytest.mark.parametrize("method", ["sft", "gift", "lift4"])
def test_methods_without_modes_are_refused(method):
    with pytest.raises(
        ValueError, match=f"method must be one of lift2, lift3, margin, easy, middle, hard, got '{method}'"
    ):
        modes_of(method)


@pytest.mark.parametrize("method", METHODS)
def test_only_random_masks_have_complements(method):
    problem = complementary_problem(method)
    assert (problem is None) == (method not in ("lift2", "easy", "hard", "margin", "mirror", "blockwise", "puma"))
    assert problem is None or repr(method) in problem


@pytest.mark.parametrize("method", METHODS)
def test_weights_correct_the_times_of_sums_alone(method):
    problem = time_density_problem(method)
    assert (problem is None) == (method not in ("gift", "confidence", "puma"))
    assert problem is None or repr(method) in problem


def test_an_unknown_method_has_no_complements():
    assert "method='lift4'" in (complementary_problem("lift4") or "")
