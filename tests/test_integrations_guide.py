"""The examples of docs/integrations.md run as they stand on a tiny BERT, with two kinds of tokenizer; dLLM's on the stand-in of its trainer."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from transformers import BertConfig, BertForMaskedLM, DataCollatorForSeq2Seq

from lift.data import prepare_dataset
from tests.lift.support import mdlm_stand_in
from tests.lift.support.labelled import RUN
from tests.lift.support.tokenizers import bert_like, byte_level
from tests.transformers_version import needs_packing

GUIDE = Path(__file__).resolve().parents[1] / "docs" / "integrations.md"
SECTIONS = dict(re.findall(r"^## ([^\n]*)\n.*?```python\n(.*?)```", GUIDE.read_text(), re.DOTALL | re.MULTILINE))
# On a CPU, quietly, and not for 100 steps.
SHORTENED = ", ".join(f"{name}={value!r}" for name, value in (RUN | {"max_steps": 2, "learning_rate": 1e-3}).items())


TOKENIZERS = {"bert": bert_like, "byte-level": byte_level}


@pytest.fixture(params=TOKENIZERS)
def names(request, tmp_path, monkeypatch) -> dict[str, object]:
    """What the page's examples take, of rows of unequal length."""
    monkeypatch.chdir(tmp_path)
    tokenizer = TOKENIZERS[request.param]()
    texts = [{"prompt": f"how many are {a} and {b}", "completion": f" they are {a * b * '1'}"}
             for a in range(5) for b in range(4)]  # fmt: skip
    rows = prepare_dataset(texts, tokenizer, max_length=64)
    labelled = Dataset.from_list(
        [{"input_ids": ids, "labels": [-100] * start + ids[start:]}
         for ids, start in zip(rows["input_ids"], rows["prompt_length"], strict=True)]
    )  # fmt: skip
    padded = tokenizer.pad({"input_ids": list(rows["input_ids"])}, return_tensors="pt")["input_ids"]
    return {
        "model": tiny_model(len(tokenizer), tokenizer.pad_token_id), "tokenizer": tokenizer, "step": 0,
        "mask_token_id": tokenizer.mask_token_id, "input_ids": padded,
        "is_response": torch.arange(padded.shape[1]) >= torch.tensor(list(rows["prompt_length"]))[:, None],
        "dataset": Dataset.from_list(texts), "labelled_rows": labelled,
        "tokenized_rows": labelled.select_columns(["input_ids"]),
        "collator": DataCollatorForSeq2Seq(tokenizer, label_pad_token_id=tokenizer.pad_token_id),
    }  # fmt: skip


def tiny_model(vocab_size: int, pad_token_id: int) -> BertForMaskedLM:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=vocab_size, pad_token_id=pad_token_id, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=64,
    )  # fmt: skip
    return BertForMaskedLM(config)


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


@pytest.mark.parametrize("section", ["dLLM", pytest.param("dLLM's block diffusion", marks=needs_packing)])
def test_dllm(names, monkeypatch, section):
    for package in ("dllm", "dllm.core"):
        monkeypatch.setitem(sys.modules, package, types.ModuleType(package))
    monkeypatch.setitem(sys.modules, "dllm.core.trainers", mdlm_stand_in)
    names["__name__"] = mdlm_stand_in.__name__  # a dataclass looks its module up
    run(section, names)
    assert len(SECTIONS) == 6
