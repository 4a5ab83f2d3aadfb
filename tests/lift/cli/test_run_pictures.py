"""Which run a picture is of, and the formats that it is written in."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from torch import nn

from lift.cli.run_pictures import draw_run, in_short, run_in_words

LINES = [{"step": 0, "eval_loss": 3.0}, {"step": 2, "nll": 2.0, "eval_loss": 2.5}]


def run_of(name: str | None, formats: list[str] | None = None) -> tuple[SimpleNamespace, nn.Module]:
    model = nn.Linear(30, 40)  # 1,240 parameters
    model.config = SimpleNamespace(model_type="modernbert")
    return SimpleNamespace(
        model=SimpleNamespace(model_name_or_path=name), config=SimpleNamespace(method="lift3", seed=7),
        run=SimpleNamespace(figure_formats=formats),
    ), model  # fmt: skip


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (None, "lift3, new modernbert (1.24k parameters), seed 7"),
        ("org/name", "lift3, org/name (1.24k parameters), seed 7"),
        ("/a/very/deep/folder", "lift3, deep/folder (1.24k parameters), seed 7"),
        (f"org/{'x' * 60}end", f"lift3, ...{'x' * 26}end (1.24k parameters), seed 7"),
    ],
)
def test_a_run_in_words(name, words):
    assert run_in_words(*run_of(name)) == words


@pytest.mark.parametrize(
    ("number", "text"),
    [(999, "999"), (687_472, "687k"), (22_713_216, "22.7M"), (999_999, "1M"), (8_015_000_000, "8.02B")],
)
def test_counts_in_short(number, text):
    assert in_short(number) == text


def test_all_pictures_of_a_run_have_its_words_and_the_formats_asked_for(tmp_path, drawn):
    asked: list[dict] = []
    task = SimpleNamespace(draw=lambda *arguments, **options: asked.append({"metrics": arguments[:2], **options}))
    run, model = run_of("base", ["svg", "pdf"])
    assert draw_run(run, task, model, LINES, {"a": 1}, {"a": 2}, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"loss_curve.svg", "loss_curve.pdf"}
    words = run_in_words(run, model)
    assert asked == [{"metrics": ({"a": 1}, {"a": 2}), "subtitle": words, "formats": ["svg", "pdf"]}]
    assert words in [text.get_text() for text in drawn[0].axes[0].texts]


def test_without_matplotlib_nothing_is_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr("lift.cli.run_pictures.find_spec", lambda name: None)
    assert not draw_run(*run_of("base")[:1], None, None, LINES, {}, {}, tmp_path)
    assert not list(tmp_path.iterdir())
