from __future__ import annotations

import numpy as np
import torch

from benchmarks.study.model import load_model, new_model, save_model, train
from benchmarks.study.tasks import TASKS, draw_rows
from lift.evaluation.weights_digest import weights_digest


def test_a_new_model_is_a_function_of_its_seed_and_disturbs_no_other_draw():
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    first = weights_digest(new_model(0))
    assert torch.equal(torch.rand(3), expected)
    assert first == weights_digest(new_model(0)) != weights_digest(new_model(1))


def test_training_repeats_to_the_bit_and_what_is_kept_is_what_was_trained(tmp_path):
    rows = draw_rows(TASKS["sort6"], 40, np.random.default_rng(0))
    digests = set()
    for _ in range(2):
        model = new_model(0)
        train(model, rows, steps=2, seed=9, method="lift3", learning_rate=1e-3)
        digests.add(weights_digest(model))
    save_model(model, tmp_path / "models" / "one.safetensors")
    digests.add(weights_digest(load_model(tmp_path / "models" / "one.safetensors")))
    assert len(digests) == 1
    assert digests != {weights_digest(new_model(0))}
