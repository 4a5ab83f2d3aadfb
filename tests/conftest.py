"""Fixtures shared by every test."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before torch is imported, and for the tests' processes: how a product rounds depends on the threads that share it, so
# with one a test says the same whatever the machine, and parts of the suite that run side by side do not wait.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A script that starts the suite in the background hands it SIGINT ignored, and nohup SIGHUP, which its processes would
# inherit: those that a test interrupts would never end.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

import torch

if not torch.cuda.is_available():
    # Before triton is first imported: the kernels then run on CPU tensors, under Triton's interpreter.
    os.environ["TRITON_INTERPRET"] = "1"
    from tests.fast_interpreter import make_interpreter_fast

    make_interpreter_fast()


def pytest_collection_finish() -> None:
    """Keep what lives to the end out of each collection: transformers collects often, and took a third of the time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder beside the checkout with golden vectors and data; tests that need it skip without it."""
    path = Path(__file__).resolve().parents[2] / "shared"
    if not path.is_dir():
        pytest.skip("the folder ../shared with golden vectors and data is not on this machine")
    return path


@pytest.fixture(scope="session")
def kernel_device() -> torch.device:
    """Where the Triton kernels run here: a GPU, or a CPU through the interpreter."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _own_precision() -> Iterator[None]:
    """TrainingArguments of transformers 4 leave bf16 in the environment, and the next ones in the process take it."""
    yield
    os.environ.pop("ACCELERATE_MIXED_PRECISION", None)


@pytest.fixture
def remote_code_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """transformers copies the code of a checkpoint to a folder of this test, and forgets what it imported from there."""
    from transformers import dynamic_module_utils

    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "transformers_modules"]:
        del sys.modules[name]
