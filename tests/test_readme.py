"""The README's examples run as they stand, on a tiny model."""

from __future__ import annotations

import json
import re
from pathlib import Path

import torch

from lift.tasks import sudoku
from tests.lift.support.tiny import tiny_model

ROOT = Path(__file__).resolve().parents[1]


def test_examples_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "README.md").read_text()
    own_loop, patched, two_forwards, one_forward, trainer = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    puzzles = sudoku.generate_puzzles(8, seed=0)
    tokenizer = sudoku.build_tokenizer()
    ids = torch.tensor(tokenizer([p.clues + p.solution for p in puzzles])["input_ids"])
    names = {
        "model": tiny_model(),
        "tokenizer": tokenizer,
        "input_ids": ids,
        "is_response": (torch.arange(32) >= 16).expand(ids.shape),
        "mask_token_id": tokenizer.mask_token_id,
        "step": 0,
        "example_id": torch.arange(8),
    }
    exec(own_loop, names)
    assert all(p.grad is not None for p in names["model"].parameters())
    exec(patched, names)
    assert names["outputs"].logits is None and names["outputs"].loss > 0
    for block in (two_forwards, one_forward):
        names["model"].zero_grad()
        exec(block, names)
        assert all(p.grad is not None and p.grad.isfinite().all() for p in names["model"].parameters())
    trained, masked = names["taken"].batch.labels != -100, names["taken"].is_masked
    assert (trained.sum(1) <= masked.sum(1)).all() and 0 < trained.sum() < masked.sum()

    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in sudoku.rows(puzzles)))
    exec(trainer.replace("max_steps=1000", "max_steps=2, use_cpu=True, save_strategy='no'"), names)
    assert names["trainer"].state.global_step == 2


def test_every_link_and_picture_is_there():
    for document in ROOT.glob("**/*.md"):
        if any(part.startswith(".") for part in document.relative_to(ROOT).parts):
            continue
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
            assert target.startswith("http") or (document.parent / target).exists(), f"{document}: {target}"
