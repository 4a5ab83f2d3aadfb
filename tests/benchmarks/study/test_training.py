from __future__ import annotations

import numpy as np

from benchmarks.study.model import load_model, new_model, save_model
from benchmarks.study.tasks import TASKS, build_tokenizer, draw_rows
from benchmarks.study.training import train
from lift.evaluation.weights_digest import weights_digest


def test_training_repeats_to_the_bit_and_what_is_kept_is_what_was_trained(tmp_path):
    rows = draw_rows(TASKS["sort6"], 40, np.random.default_rng(0))
    digests = set()
    for _ in range(2):
        model = new_model(0)
        train(model, rows, build_tokenizer(), steps=2, seed=9, method="lift3", learning_rate=1e-3)
        digests.add(weights_digest(model))
    save_model(model, tmp_path / "models" / "one.safetensors")
    digests.add(weights_digest(load_model(tmp_path / "models" / "one.safetensors")))
    assert len(digests) == 1
    assert digests != {weights_digest(new_model(0))}
