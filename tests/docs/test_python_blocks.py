"""The Python of the pages runs as it stands, on a tiny model; what other tests run is named here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from lift import LiftTrainer
from lift.tasks import sudoku
from tests.docs.pages import blocks, documents
from tests.lift.support.tiny import tiny_config, tiny_model, tiny_rows

# By the test of a page of its own, in tests/.
ELSEWHERE = {
    "README.md": "test_readme", "CONTRIBUTING.md": "test_contributing", "docs/own_loop.md": "test_own_loop_guide",
    "docs/integrations.md": "test_integrations_guide", "docs/analysis.md": "test_analysis_guide",
    "docs/time_density.md": "test_time_density_guide",
}  # fmt: skip
HERE = (
    "docs/index.md",
    "docs/lift_explained.md",
    "docs/training.md",
    "docs/data.md",
    "docs/reliability.md",
    "docs/sampling.md",
)
NOT_RUN = {
    "docs/evaluation.md": "a task of lm-eval fetches its rows from the Hub",
    "docs/gpu_measurements.md": "it reads the file of a run on a GPU",
}
SHORTER = {
    "max_steps=1000, learning_rate=1e-4": "max_steps=2, learning_rate=1e-4, use_cpu=True, save_strategy='no'",
    "max_steps=100,": "max_steps=2, use_cpu=True, save_strategy='no', disable_tqdm=True,",
}


def test_every_page_with_python_is_run_or_says_why_not():
    pages = {str(path) for path in documents() if blocks(path, "python")}
    assert pages == {*ELSEWHERE, *HERE, *NOT_RUN}
    tests = Path(__file__).resolve().parents[1]
    for page, name in ELSEWHERE.items():
        assert Path(page).name.partition(".")[0] in (tests / f"{name}.py").read_text()


@pytest.fixture
def names(tmp_path, monkeypatch) -> dict[str, object]:
    """What the pages take for granted, and `rows.jsonl` in the current folder."""
    monkeypatch.chdir(tmp_path)
    tokenizer = sudoku.build_tokenizer()
    puzzles = sudoku.generate_puzzles(12, seed=0)
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in sudoku.rows(puzzles)))
    prompts = torch.tensor(tokenizer([puzzle.clues for puzzle in puzzles[:2]])["input_ids"])
    mask = torch.ones_like(prompts)
    mask[1, :3] = 0
    return {
        "model": tiny_model(), "tokenizer": tokenizer, "prompt_ids": prompts, "mask": mask, "eos": 7,
        "text_with_masks": prompts.where(prompts != 2, tokenizer.mask_token_id),
    }  # fmt: skip


def run(page: str, names: dict[str, object]) -> None:
    for block in blocks(page, "python"):
        for long, short in SHORTER.items():
            block = block.replace(long, short)
        exec(block, names)


@pytest.mark.parametrize("page", ["docs/index.md", "docs/training.md"])
def test_the_trainer(page, names):
    run(page, names)
    assert names["trainer"].state.global_step == 2


def test_rows(names):
    run("docs/data.md", names)
    assert names["both"]["example_id"] == list(range(24)) and names["dataset"][0]["prompt_length"] == 16


def test_lift_on_six_tokens(names, capsys):
    run("docs/lift_explained.md", names)
    (code,) = blocks("docs/lift_explained.md", "python")
    printed = capsys.readouterr().out.strip()
    assert f"# {printed}:" in code


def test_a_run_that_can_be_stopped(names, tmp_path):
    names["trainer"] = LiftTrainer(
        model=names["model"], args=tiny_config(tmp_path / "out", max_steps=1), train_dataset=tiny_rows(8),
        processing_class=names["tokenizer"],
    )  # fmt: skip
    run("docs/reliability.md", names)
    assert names["trainer"].state.global_step == 1 and names["stop"].stopped_at is None


def test_answers(names):
    names["model"].config.mask_token_id = names["tokenizer"].mask_token_id
    run("docs/sampling.md", names)
    assert (names["filled"] != names["tokenizer"].mask_token_id).all()
