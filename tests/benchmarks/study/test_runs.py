from __future__ import annotations

import pytest

from benchmarks.study import runs
from benchmarks.study.domains import DOMAINS
from benchmarks.study.methods import BESIDE, METHODS
from benchmarks.study.model import new_model, save_model
from benchmarks.study.perform import perform
from benchmarks.study.plan import FULL, Job
from benchmarks.study.starts import held_out_rows
from benchmarks.study.streams import stream

STEPS = {"sft": 80, "lift3": 80, "hard": 80, "gift": 80, "sft_x1.22": 98, "sft_x1.34": 107}


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """What a run would train, by method; nothing is trained or judged."""
    save_model(new_model(0), tmp_path / "models" / "fsa-2.safetensors")
    seen = {}

    class Judge:
        def __init__(self, rows, tokenizer):
            seen.setdefault("judged", rows)

        def written(self, model, steps=None):
            return {"answers": 1 / (steps or 1), "responses": 0.25}

        def nll(self, model):
            return [0.1, 0.2, 0.3, 0.4, 0.5]

    monkeypatch.setattr(runs, "RowsToJudge", Judge)
    monkeypatch.setattr(runs, "base_skill", lambda *_: {"a": 0.5, "b": 1.0})
    monkeypatch.setattr(runs, "train", lambda model, rows, tokenizer, **options: seen.update(rows=rows, **options))

    def run(method, seed=3):
        seen.clear()
        line = perform(Job("run", "fsa", 2, seed, method), tmp_path, FULL, DOMAINS["tasks"].makers)
        return line, dict(seen)

    return run


def test_methods_of_a_seed_see_the_same_rows_and_noise_and_the_test_is_the_start_s(trained):
    all_seen = [trained(method)[1] for method in METHODS | BESIDE]
    assert all(seen["rows"] == all_seen[0]["rows"] and seen["seed"] == all_seen[0]["seed"] for seen in all_seen)
    assert all_seen[0]["judged"] == held_out_rows(Job("run", "fsa", 2, 0, ""), FULL)
    other = trained("sft", seed=1)[1]
    assert other["rows"] != all_seen[0]["rows"] and other["seed"] != all_seen[0]["seed"]


def test_no_row_that_judges_is_trained_even_if_it_were_drawn(trained, monkeypatch):
    monkeypatch.setattr(runs, "stream", lambda *_: stream("test", "fsa", 2))
    seen = trained("sft")[1]
    assert len(seen["rows"]) == 200 and not set(seen["judged"]) & set(seen["rows"])


@pytest.mark.parametrize(("method", "steps"), STEPS.items())
def test_steps_are_equal_or_of_equal_compute(trained, method, steps):
    assert trained(method)[1]["steps"] == steps


def test_a_line_holds_every_outcome(trained):
    line, _ = trained("lift3")
    assert line["job"] == {"kind": "run", "setting": "fsa", "start": 2, "seed": 3, "method": "lift3"}
    assert {name: line["found"][name] for name in ("answers", "answers@8", "answers@4", "responses", "kept")} == {
        "answers": 1.0, "answers@8": 0.125, "answers@4": 0.25, "responses": 0.25, "kept": 0.75,
    }  # fmt: skip
    assert line["found"]["nll"] == pytest.approx(0.3)
    assert set(line["seconds"]) == {"all", "training"}
