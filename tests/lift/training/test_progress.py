"""Bars on what may take long: shown by one process, and by none where the user wants none."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest
from tqdm.auto import tqdm

from lift import LiftTrainer
from lift.data import packing
from lift.tasks import sudoku
from lift.training import length_sampler, score_source
from lift.training.progress import shows_progress
from tests.lift.support.tiny import GROUPED, tiny_config, tiny_model, uneven_rows
from tests.transformers_version import needs_packing


@pytest.mark.parametrize(
    ("disable_tqdm", "process_index", "shown"),
    [(False, 0, True), (True, 0, False), (False, 1, False), (True, 3, False)],
)
def test_one_process_shows_bars_unless_the_user_wants_none(disable_tqdm, process_index, shown):
    args = SimpleNamespace(disable_tqdm=disable_tqdm, process_index=process_index)
    assert shows_progress(args) == shown


@pytest.fixture(autouse=True)
def _no_log(monkeypatch):
    """A run in this process, of another test, may have left its handler."""
    monkeypatch.setattr(logging.getLogger("lift"), "handlers", [])


@pytest.fixture
def at_once(monkeypatch):
    """Bars appear after a second of work; here at once."""
    for module in (length_sampler, packing, score_source):
        monkeypatch.setattr(module, "tqdm", lambda rows, **options: tqdm(rows, **{**options, "delay": 0}))


def make_trainer(tmp_path, **options) -> LiftTrainer:
    return LiftTrainer(
        model=tiny_model(),
        args=tiny_config(tmp_path, packing=True, pad_in_loss=False, max_length=40, **GROUPED, **options),
        train_dataset=uneven_rows(),
        processing_class=sudoku.build_tokenizer(),
    )


@needs_packing
@pytest.mark.parametrize("score_source", ["cache", "frequency"])
def test_packing_measuring_and_counting_show_bars(tmp_path, at_once, capfd, score_source):
    make_trainer(tmp_path, disable_tqdm=False, score_source=score_source).get_train_dataloader()
    shown = capfd.readouterr().err
    for words in ("Packing: 100%", "Measuring lengths: 100%", "Counting tokens: 100%"):
        assert words in shown
    make_trainer(tmp_path, disable_tqdm=True, score_source=score_source).get_train_dataloader()
    assert capfd.readouterr().err == ""


@needs_packing
def test_what_takes_no_time_shows_no_bar(tmp_path, capfd):
    make_trainer(tmp_path, disable_tqdm=False, score_source="cache").get_train_dataloader()
    assert capfd.readouterr().err == ""
