"""The examples run, at a small size, and do what they say."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from tests.doubles.checkpoint import write_checkpoint
from tests.lift.support.tiny import prose_tokenizer

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
QUICK = {"use_cpu": True, "save_strategy": "no", "disable_tqdm": True, "logging_steps": 1, "learning_rate": 1e-2}


def main_of(name: str) -> Callable:
    return runpy.run_path(str(EXAMPLES / f"{name}.py"))["main"]


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_fits_a_page(path):
    assert len(path.read_text().splitlines()) < 60


def test_the_loop_learns():
    losses = main_of("own_loop")(num_steps=120, batch_size=32)
    assert sum(losses[-60:]) < 0.85 * 3 * sum(losses[:20])


# In transformers 4 every configuration claims tied embeddings, LLaDA's too, and peft says that they no longer are.
@pytest.mark.filterwarnings("ignore:Input and output embeddings are no longer tied")
@pytest.mark.usefixtures("remote_code_cache")
def test_an_adapter_of_llada(tmp_path):
    tokenizer = prose_tokenizer()
    sizes = {"vocab_size": len(tokenizer), "mask_token_id": 5, "pad_token_id": 0, "d_model": 32}
    write_checkpoint(tmp_path / "model", "llada", **sizes)
    tokenizer.save_pretrained(tmp_path / "model")
    quick = QUICK | {"max_steps": 2, "bf16": False, "max_length": 64}
    answer = main_of("lora_llada")(str(tmp_path / "model"), tmp_path / "out", **quick)
    assert isinstance(answer, str)
    assert (tmp_path / "out" / "adapter_model.safetensors").is_file()
    assert not (tmp_path / "out" / "model.safetensors").exists()


def test_what_is_gained_is_measured_on_the_same_masks(tmp_path):
    torch.manual_seed(0)
    page = main_of("analyse_train_analyse")(tmp_path, num_puzzles=64, max_steps=8, **QUICK)
    assert page == tmp_path / "gained" / "analysis.html" and page.is_file()
    before, after = (pq.read_table(tmp_path / name / "tokens") for name in ("before", "after"))
    assert before.select(["example", "position", "ratio"]).equals(after.select(["example", "position", "ratio"]))
    mean = [sum(table["log_prob"].to_pylist()) / len(table) for table in (before, after)]
    assert mean[1] > mean[0] + 0.1
