"""Start programs in several processes, as users do, and look at what each process left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
import yaml
from accelerate.state import AcceleratorState

from lift.recipes import ACCELERATE

ROOT = Path(__file__).parents[3]
# Of one thread, without a GPU, and deaf to the net. DeepSpeed has to be told that there is only a CPU.
ENVIRONMENT = {
    "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "",
    "DS_ACCELERATOR": "cpu",
}  # fmt: skip


def config_file(wrapper: str) -> Path:
    """The packaged configuration of ddp, fsdp2, zero2 or zero3."""
    return Path(str(ACCELERATE / f"{wrapper}.yaml"))


def accelerate_command(wrapper: str, num_processes: int, *command: str | Path) -> list[str]:
    return [
        sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(config_file(wrapper)),
        "--num_processes", str(num_processes), "--main_process_port", "0", *map(str, command),
    ]  # fmt: skip


def accelerate(wrapper: str, num_processes: int, *command: str | Path) -> None:
    launch(accelerate_command(wrapper, num_processes, *command))


def torchrun(num_processes: int, *command: str | Path) -> None:
    launch(
        [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            f"--nproc_per_node={num_processes}",
            *map(str, command),
        ]
    )


def launch(command: list[str]) -> None:
    """Run a command; gloo rarely aborts while processes exit ("terminate called ..."), and only that is tried again."""
    for _ in range(3):
        result = subprocess.run(command, env=os.environ | ENVIRONMENT, capture_output=True, text=True, timeout=300)
        if "terminate called without an active exception" not in result.stderr:
            break
    assert result.returncode == 0, result.stdout[-1000:] + result.stderr[-5000:]


@contextmanager
def alone_under_fsdp2() -> Iterator[None]:
    """This process as the only one that `accelerate launch` started with fsdp2.yaml."""
    # accelerate chooses a number of threads, and warns that it does, unless there is one.
    variables = {
        "OMP_NUM_THREADS": 1,
        "RANK": 0,
        "WORLD_SIZE": 1,
        "LOCAL_RANK": 0,
        "MASTER_ADDR": "localhost",
        "MASTER_PORT": 0,
    }
    variables |= {"ACCELERATE_USE_FSDP": "true"} | yaml.safe_load(config_file("fsdp2").read_text())["fsdp_config"]
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name.upper(), str(value))
        try:
            yield
        finally:
            if torch.distributed.is_initialized():
                torch.distributed.destroy_process_group()
            AcceleratorState._reset_state(reset_partial_state=True)


def seen(folder: Path, what: str) -> list[list]:
    """What each of the two processes of a run of `distributed_runs` remembers."""
    return [json.loads((folder / f"seen-{rank}.json").read_text())[what] for rank in (0, 1)]
