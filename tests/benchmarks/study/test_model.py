from __future__ import annotations

import torch

from benchmarks.study.model import load_model, new_model, save_model
from lift.evaluation.weights_digest import weights_digest


def test_a_new_model_is_a_function_of_its_seed_and_disturbs_no_other_draw():
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    first = weights_digest(new_model(0))
    assert torch.equal(torch.rand(3), expected)
    assert first == weights_digest(new_model(0)) != weights_digest(new_model(1))


def test_what_is_loaded_is_what_was_kept(tmp_path):
    model = new_model(1)
    save_model(model, tmp_path / "models" / "one.safetensors")
    assert weights_digest(load_model(tmp_path / "models" / "one.safetensors")) == weights_digest(model)
