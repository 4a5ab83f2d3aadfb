"""Two processes with gloo on a CPU, in DDP and in FSDP2: the same training as one process."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils import FullyShardedDataParallelPlugin
from accelerate.utils.launch import prepare_multi_gpu_env
from safetensors.torch import load_file
from transformers import AutoModelForMaskedLM

from lift.errors import LiftError
from lift.training.pool_file import FILE
from tests.lift.support import distributed_runs
from tests.lift.support.distributed_runs import SCENARIOS, weights
from tests.lift.support.launchers import accelerate, alone_under_fsdp2, config_file, seen, torchrun

MODULE = distributed_runs.__name__
WRAPPERS = ("ddp", "fsdp2")

pytestmark = pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no torch.distributed")


def resume(folder: Path, out: Path) -> None:
    distributed_runs.run(
        "resumable", out, world=1, dtype="float64", checkpoint=str(folder / "resumable" / "checkpoint-3")
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """Every scenario in one process (one), in two (ddp, fsdp2), and what resumed on another number of processes."""
    folder = tmp_path_factory.mktemp("runs")
    for name in SCENARIOS:
        distributed_runs.run(name, folder / "one" / name, world=1, dtype="float64")
    torchrun(
        2, "--module", MODULE, folder / "ddp", "--world", "2",
        "--resume", folder / "one" / "resumable" / "checkpoint-3",
    )  # fmt: skip
    resume(folder / "ddp", folder / "ddp-to-one")
    with alone_under_fsdp2():
        distributed_runs.run("resumable", folder / "fsdp2-alone" / "resumable", world=1, dtype="float64")
    accelerate(
        "fsdp2", 2, "-m", MODULE, folder / "fsdp2", "--world", "2",
        "--resume", folder / "fsdp2-alone" / "resumable" / "checkpoint-3",
    )  # fmt: skip
    with alone_under_fsdp2():
        resume(folder / "fsdp2", folder / "fsdp2-to-one")
    return folder


def assert_same_weights(ours: Path, truth: Path) -> None:
    found, expected = weights(ours), weights(truth)
    for name, tensor in expected.items():
        assert tensor.dtype == torch.float64
        torch.testing.assert_close(found[name], tensor, rtol=1e-9, atol=1e-12, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_two_processes_train_as_one(runs, wrapper, name):
    assert_same_weights(runs / wrapper / name, runs / "one" / name)


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_two_processes_evaluate_as_one(runs, wrapper):
    """7 rows by 2 processes: one of them gets a row again, and each its own longest row."""
    (truth,) = json.loads((runs / "one" / "padded" / "seen-0.json").read_text())["eval_loss"]
    assert seen(runs / wrapper / "padded", "eval_loss") == [[pytest.approx(truth, rel=1e-6)]] * 2


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_checkpoint_has_the_pool_of_all_processes(runs, wrapper):
    ours, truth = (load_file(runs / name / "puma" / "checkpoint-3" / FILE) for name in (wrapper, "one"))
    assert len(truth["turn"]) == 8 and all(torch.equal(ours[name], truth[name]) for name in truth)


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_resume_on_another_number_of_processes_is_the_same_run(runs, wrapper):
    truth = runs / "one" / "resumable"
    assert_same_weights(runs / wrapper / "resumed", truth)
    assert_same_weights(runs / f"{wrapper}-to-one", truth)


def test_fsdp2_shards_every_parameter(runs):
    bert = seen(runs / "fsdp2" / "bert", "placements")
    alone = json.loads((runs / "fsdp2-to-one" / "seen-0.json").read_text())["placements"]
    for placements in [*seen(runs / "fsdp2" / "lift3", "placements"), *bert, alone]:
        assert len(placements) > 10 and set(placements) == {"(Shard(dim=0),)"}
    assert seen(runs / "ddp" / "lift3", "placements")[0][0] == "Parameter"


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_the_scenarios_are_what_they_are_meant_to_be(runs, wrapper):
    orders = seen(runs / wrapper / "lift3", "orders")
    assert any(set(ours) != set(theirs) for ours, theirs in zip(*orders, strict=True))
    ours, theirs = seen(runs / wrapper / "unmasked", "num_labels")
    assert any(n == 0 for n in theirs) and all(n > 0 for n in ours)
    ours, theirs = seen(runs / wrapper / "uneven", "num_labels")
    assert theirs[-1] == 0 < ours[-1]


@pytest.mark.parametrize("name", ["lift3", "bert"])
def test_sharded_weights_load_in_one_process(runs, name):
    folder = runs / "fsdp2" / name
    model, info = AutoModelForMaskedLM.from_pretrained(folder, output_loading_info=True, dtype=torch.float64)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    for key, tensor in weights(runs / "one" / name).items():
        torch.testing.assert_close(model.state_dict()[key], tensor, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("wrapper", ["ddp", "fsdp2", "zero2", "zero3"])
def test_accelerate_takes_each_configuration(wrapper):
    arguments = launch_command_parser().parse_args(["--config_file", str(config_file(wrapper)), "-m", "lift.cli"])
    arguments, config, _ = _validate_launch_command(arguments)
    assert arguments.num_processes == 2 and arguments.mixed_precision == "no"
    assert (arguments.multi_gpu, arguments.use_fsdp, arguments.use_deepspeed) == (
        wrapper == "ddp", wrapper == "fsdp2", wrapper.startswith("zero"),
    )  # fmt: skip
    if wrapper == "fsdp2":
        known = {f"fsdp_{field.name}" for field in dataclasses.fields(FullyShardedDataParallelPlugin)}
        assert config.fsdp_config.keys() <= known | {"fsdp_version"}
        assert prepare_multi_gpu_env(arguments)["FSDP_VERSION"] == "2"
    overridden = launch_command_parser().parse_args(
        ["--config_file", str(config_file(wrapper)), "--num_processes", "8", "x"]
    )
    assert _validate_launch_command(overridden)[0].num_processes == 8


class TestFsdpOnCpuThatCannotBeHad:
    """An error, where accelerate alone would train with DDP."""

    def test_version_1(self, tmp_path, monkeypatch):
        monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
        with pytest.raises(LiftError, match="FSDP1 does not train on CPUs: set fsdp_version: 2"):
            distributed_runs.run("lift3", tmp_path, world=1, dtype="float32")

    def test_no_launcher(self, tmp_path, monkeypatch):
        monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
        monkeypatch.setenv("FSDP_VERSION", "2")
        with pytest.raises(LiftError, match="FSDP2 needs a launcher, also for one process"):
            distributed_runs.run("lift3", tmp_path, world=1, dtype="float32")
