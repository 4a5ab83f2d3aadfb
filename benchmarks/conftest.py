"""What `pytest benchmarks` takes besides pytest-benchmark's own options, and the cases that these choose."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
import torch

from benchmarks.harness.environment import device_environment, machine_load
from benchmarks.harness.run_config import RunConfig
from benchmarks.ops.cases import DTYPES, HEADS, MODELS, WORKS, cases
from benchmarks.ops.providers import PROVIDERS

_DEFAULTS: dict[str, list[Any]] = {
    "model": ["32k"], "tokens": [512], "masked": [0.15, 0.5, 1.0],
    "work": [*WORKS], "head": [*HEADS], "dtype": ["bfloat16"],
}  # fmt: skip
_SMOKE: dict[str, list[Any]] = {"model": ["smoke"], "tokens": [16], "masked": [0.5]}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Each may be given several times."""
    group = parser.getgroup("benchmarks of the ops")
    group.addoption("--model", action="append", choices=[*MODELS], help="default: 32k")
    group.addoption("--tokens", action="append", type=int, help="default: 512; a multiple of 4")
    group.addoption("--masked", action="append", type=float, help="share with a target; default: 0.15, 0.5 and 1")
    group.addoption("--work", action="append", choices=WORKS, help="default: all")
    group.addoption("--head", action="append", choices=HEADS, help="default: both")
    group.addoption("--dtype", action="append", choices=[*DTYPES], help="default: bfloat16")
    group.addoption("--provider", action="append", choices=[*PROVIDERS], help="default: all that can run here")
    group.addoption("--rounds", type=int, default=11)
    group.addoption("--threads", type=int, default=2)
    group.addoption("--smoke", action="store_true", help="tiny shapes, no peaks: does everything run?")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "benchmark: a benchmark of pytest-benchmark")
    torch.set_num_threads(1 if config.getoption("--smoke") else config.getoption("--threads"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """All providers of a case run one after the other: its inputs and its truth are made once."""
    if {"case", "provider"} <= set(metafunc.fixturenames):
        every = cases(
            *(_option(metafunc.config, name) for name in ("model", "tokens", "masked", "work", "head", "dtype"))
        )
        pairs = [
            pytest.param(case, name, id=f"{case.name}, {name}")
            for case in every
            for name in metafunc.config.getoption("--provider") or PROVIDERS
            if PROVIDERS[name].takes(case)
        ]
        metafunc.parametrize(("case", "provider"), pairs)


def _option(config: pytest.Config, name: str) -> list[Any]:
    defaults = _DEFAULTS | (_SMOKE if config.getoption("--smoke") else {})
    return config.getoption(f"--{name}") or defaults[name]


@pytest.fixture(scope="session")
def run_config(pytestconfig: pytest.Config) -> RunConfig:
    """Where the benchmarks run."""
    return RunConfig.here(is_smoke=pytestconfig.getoption("--smoke"))


@pytest.fixture(scope="session")
def num_rounds(pytestconfig: pytest.Config) -> int:
    """How often each step is timed."""
    return 2 if pytestconfig.getoption("--smoke") else pytestconfig.getoption("--rounds")


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """Add versions, device, settings, command and the machine's load to the JSON."""
    command = shlex.join(["pytest", *map(str, config.invocation_params.args)])
    machine_info["lift"] = device_environment(RunConfig.here()) | {"command": command, "load_before": machine_load()}


def pytest_benchmark_update_json(output_json: dict[str, Any]) -> None:
    """Add the load at the end: with the one before it tells a quiet machine from a shared one."""
    output_json["machine_info"]["lift"]["load_after"] = machine_load()
