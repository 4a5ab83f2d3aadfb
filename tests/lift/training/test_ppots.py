"""Training at times drawn by a density."""

from __future__ import annotations

import json

import pytest
import torch

from lift.models.transformers_versions import keeps_packed_examples_apart
from lift.objectives.time_density import TimeDensity
from tests.lift.support.clean_rows import DENSITY
from tests.lift.support.trainers import (
    end_of_run,
    evaluation_batch,
    first_step,
    make_trainer,
    micro_batch,
    training_batch,
)

NEEDS_PAIRS = pytest.mark.skipif(
    not keeps_packed_examples_apart(), reason="this transformers' ModernBERT takes no mask of pairs"
)


@pytest.fixture
def uniform(tmp_path):
    path = tmp_path / "uniform.json"
    path.write_text(json.dumps({"format": 1, "points": [i / 7 for i in range(8)], "density": [0.3] * 8}))
    return str(path)


@pytest.mark.parametrize(
    "options", [{}, pytest.param({"attention": "block", "block_size": 4}, marks=NEEDS_PAIRS)], ids=str
)
def test_a_uniform_density_is_sft_to_the_bit(tmp_path, uniform, options):
    plain = first_step(tmp_path, 4, 2, method="sft", **options)
    drawn = first_step(tmp_path, 4, 2, method="ppots", time_density=uniform, **options)
    assert torch.equal(plain, drawn) and plain.abs().max() > 1e-3
    assert not torch.equal(plain, first_step(tmp_path, 4, 2, method="ppots", time_density=DENSITY, **options))


@pytest.mark.parametrize(
    "options", [{"method": "ppots"}, {"method": "lift3", "one_forward": True}, {"method": "mirror"}], ids=str
)
def test_a_split_step_is_the_same_step(tmp_path, options):
    ends = [end_of_run(tmp_path, *size, time_density=DENSITY, **options) for size in ((6, 1), (2, 3))]
    assert max((a - b).abs().max().item() for a, b in zip(*ends, strict=True)) < 1e-8


def test_rows_are_weighted_by_both_the_time_and_its_density_and_evaluated_as_ever(tmp_path):
    trainer = make_trainer(tmp_path, method="ppots", time_density=DENSITY)
    inputs = micro_batch(trainer)
    prepared, plain = training_batch(trainer, inputs), make_trainer(tmp_path, method="sft")
    u, importance = TimeDensity([0, 0.25, 0.5, 1], [4, 1, 0.5, 0.75]).draw(training_batch(plain, inputs).draws.u)
    torch.testing.assert_close(prepared.batch.token_weight[:, 0], importance / (0.999 * u + 0.001))
    assert prepared.batch.denominator == inputs["maskable"].sum()
    for ours, theirs in zip(evaluation_batch(trainer, inputs), evaluation_batch(plain, inputs), strict=True):
        assert torch.equal(ours, theirs)
