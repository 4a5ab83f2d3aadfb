"""The examples of docs/integrations.md run as they stand, on a tiny model; dLLM's on the stand-in of its trainer."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path

import pytest
import torch
from transformers import DataCollatorForSeq2Seq

from lift.tasks import sudoku
from tests.lift.support import mdlm_stand_in
from tests.lift.support.labelled import RUN, labelled_rows, prompts_and_completions, tokenizer_with_end
from tests.lift.support.tiny import tiny_model

GUIDE = Path(__file__).resolve().parents[1] / "docs" / "integrations.md"
SECTIONS = dict(re.findall(r"^## ([^\n]*)\n.*?```python\n(.*?)```", GUIDE.read_text(), re.DOTALL | re.MULTILINE))
# On a CPU, quietly, and not for 100 steps.
SHORTENED = ", ".join(f"{name}={value!r}" for name, value in (RUN | {"max_steps": 2, "learning_rate": 1e-3}).items())


@pytest.fixture
def names(tmp_path, monkeypatch) -> dict[str, object]:
    monkeypatch.chdir(tmp_path)
    tokenizer = tokenizer_with_end()
    puzzles = sudoku.generate_puzzles(8, seed=0)
    input_ids = torch.tensor(tokenizer([p.clues + p.solution for p in puzzles])["input_ids"])
    return {
        "model": tiny_model(), "tokenizer": tokenizer, "mask_token_id": tokenizer.mask_token_id, "step": 0,
        "input_ids": input_ids, "is_response": (torch.arange(32) >= 16).expand(input_ids.shape),
        "dataset": prompts_and_completions(), "labelled_rows": labelled_rows(),
        "tokenized_rows": labelled_rows().select_columns(["input_ids"]),
        "collator": DataCollatorForSeq2Seq(tokenizer, label_pad_token_id=tokenizer.pad_token_id),
    }  # fmt: skip


def run(section: str, names: dict[str, object], more: str = "") -> None:
    exec(SECTIONS[section].replace("max_steps=100", SHORTENED + more), names)
    assert names["trainer"].state.global_step == 2
    assert names["trainer"].state.log_history[0]["loss"] > 0


def test_a_loop(names):
    exec(SECTIONS["Your own loop"], names)
    assert all(p.grad is not None for p in names["model"].parameters())


def test_the_liger_switch(names, monkeypatch):
    monkey_patch = pytest.importorskip("liger_kernel.transformers.monkey_patch", reason="liger-kernel is not installed")
    table = dict(monkey_patch.MODEL_TYPE_TO_APPLY_LIGER_FN)
    monkeypatch.setattr(monkey_patch, "MODEL_TYPE_TO_APPLY_LIGER_FN", table)
    run("The Liger switch", names)


def test_trl(names):
    pytest.importorskip("trl", reason="trl is not installed")
    run("TRL", names, ", bf16=False")


def test_a_loss_function(names):
    run("Any trainer with a `compute_loss_func`", names)


def test_dllm(names, monkeypatch):
    for package in ("dllm", "dllm.core"):
        monkeypatch.setitem(sys.modules, package, types.ModuleType(package))
    monkeypatch.setitem(sys.modules, "dllm.core.trainers", mdlm_stand_in)
    names["__name__"] = mdlm_stand_in.__name__  # a dataclass looks its module up
    run("dLLM", names)
    assert len(SECTIONS) == 5
