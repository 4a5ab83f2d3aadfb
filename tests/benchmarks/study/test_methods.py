from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.study.methods import BESIDE, METHODS
from benchmarks.study.model import new_model
from benchmarks.study.tasks import TASKS, build_tokenizer, draw_rows
from benchmarks.study.training import train
from lift import LiftConfig


@pytest.mark.parametrize("name", METHODS | BESIDE)
def test_each_method_is_a_configuration(tmp_path, name):
    options = (METHODS | BESIDE)[name].options
    config = LiftConfig(output_dir=str(tmp_path), use_cpu=True, **options)
    assert {field: getattr(config, field) for field in options} == options


def test_reversed_draws_the_same_times_and_takes_the_opposite_modes():
    rows = draw_rows(TASKS["sort6"], 32, np.random.default_rng(0))
    seen = {name: [] for name in ("lift3", "reversed")}
    for name, draws_of in seen.items():
        method = METHODS[name]

        class Watched(method.trainer):
            def log_micro_batch(self, prepared, outputs, draws_of=draws_of):
                draws_of.append(prepared)
                super().log_micro_batch(prepared, outputs)

        train(new_model(0), rows, build_tokenizer(), steps=1, seed=5, trainer=Watched, **method.options)
    (plain,), (turned,) = seen["lift3"], seen["reversed"]
    assert torch.equal(plain.draws.timestep, turned.draws.timestep) and torch.equal(plain.draws.rho, turned.draws.rho)
    assert plain.draws.order.tolist() == [-mode for mode in turned.draws.order.tolist()]
    assert {-1, 0, 1} == set(plain.draws.order.tolist())
    # The batches themselves: alike where the subset is random, disjoint in what is easy and what is hard.
    is_middle = plain.draws.order == 0
    assert torch.equal(plain.batch.labels[is_middle], turned.batch.labels[is_middle])
    assert not torch.equal(plain.batch.labels[~is_middle], turned.batch.labels[~is_middle])
