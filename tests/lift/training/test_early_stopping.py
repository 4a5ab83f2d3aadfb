"""Early stopping counts over a resume, and says when it stops a run."""

from __future__ import annotations

import logging

import pytest

from lift.training.early_stopping import EarlyStopping
from tests.lift.support.trainers import make_trainer

OPTIONS = {
    "eval_strategy": "steps", "eval_steps": 1, "save_strategy": "steps", "save_steps": 1, "load_best_model_at_end": True,
    "metric_for_best_model": "eval_loss",
}  # fmt: skip


def trainer(tmp_path, patience: int, losses: list[float], monkeypatch, **options):
    """One whose evaluations give `losses` by the step."""
    made = make_trainer(tmp_path, callbacks=[EarlyStopping(patience)], **OPTIONS | options)
    loop = type(made).evaluation_loop

    def evaluation_loop(self, *args, **kwargs):
        output = loop(self, *args, **kwargs)
        output.metrics["eval_loss"] = losses[self.state.global_step - 1]
        return output

    monkeypatch.setattr(type(made), "evaluation_loop", evaluation_loop)
    return made


@pytest.mark.parametrize(
    ("losses", "patience", "stops_at"),
    [([3, 2, 2.5, 2.4, 2.3, 2], 2, 4), ([3, 2, 2.5, 2.4, 2.3, 2], 3, 5), ([3, 2, 2, 1, 1, 1], 2, 6)],
)
def test_it_stops_after_so_many_without_a_better_one(tmp_path, monkeypatch, caplog, losses, patience, stops_at):
    caplog.set_level(logging.INFO, "lift")
    whole = trainer(tmp_path / "whole", patience, losses, monkeypatch, max_steps=9)
    whole.train()
    assert whole.state.global_step == stops_at
    assert f"stopped early at step {stops_at} of 9: the last {patience} evaluations brought no better eval_loss" in (
        caplog.text
    )


def test_a_resumed_run_goes_on_counting(tmp_path, monkeypatch):
    losses = [3, 2, 2.5, 2.4, 2.3, 2.2, 2.1]
    first = trainer(tmp_path, 3, losses, monkeypatch, max_steps=3)
    first.train()
    assert first.state.global_step == 3
    again = trainer(tmp_path, 3, losses, monkeypatch, max_steps=9)
    again.train(resume_from_checkpoint=True)
    assert again.state.global_step == 5
