"""ZeRO-2 and ZeRO-3 with two processes on a CPU: the same training as one process."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from transformers import ModernBertForMaskedLM

from tests.lift.support import distributed_runs
from tests.lift.support.distributed_runs import SCENARIOS, weights
from tests.lift.support.launchers import accelerate, seen

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("deepspeed") is None, reason="deepspeed is not installed: make test-slow installs it"
    ),
]
STAGES = ("zero2", "zero3")


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """Every scenario in one process (one) and in two (zero2, zero3); in float32, as ZeRO knows no float64."""
    folder = tmp_path_factory.mktemp("runs")
    for name in SCENARIOS:
        distributed_runs.run(name, folder / "one" / name, world=1, dtype="float32")
    for stage in STAGES:
        accelerate(stage, 2, "-m", distributed_runs.__name__, folder / stage, "--world", "2", "--dtype", "float32")
        checkpoint = folder / stage / "resumable" / "checkpoint-3"
        accelerate(
            stage, 2, "-m", distributed_runs.__name__, folder / stage, "--world", "2", "--dtype", "float32",
            "--scenarios", "--resume", checkpoint,
        )  # fmt: skip
    return folder


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("stage", STAGES)
def test_two_processes_train_as_one(runs, stage, name):
    found = weights(runs / stage / name)
    for key, tensor in weights(runs / "one" / name).items():
        torch.testing.assert_close(found[key], tensor, rtol=1e-5, atol=1e-6, msg=lambda m, key=key: f"{key}: {m}")


@pytest.mark.parametrize("stage", STAGES)
def test_a_resumed_run_is_the_same_run(runs, stage):
    ours, theirs = weights(runs / stage / "resumed"), weights(runs / stage / "resumable")
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in theirs)


@pytest.mark.parametrize("stage", STAGES)
def test_what_lies_in_shards(runs, stage):
    for placements in seen(runs / stage / "lift3", "placements"):
        assert len(placements) > 10
        assert set(placements) == {"ZeroParamStatus.NOT_AVAILABLE" if stage == "zero3" else "Parameter"}


@pytest.mark.parametrize("stage", STAGES)
def test_the_weights_load_in_one_process(runs, stage):
    folder = runs / stage / "lift3"
    model, info = ModernBertForMaskedLM.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    for name, tensor in weights(runs / "one" / "lift3").items():
        torch.testing.assert_close(model.state_dict()[name], tensor, rtol=1e-4, atol=1e-6)
