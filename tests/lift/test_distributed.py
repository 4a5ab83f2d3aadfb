"""Two processes with gloo on a CPU: the same training as one process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.lift.tiny import GROUPED

_PROGRAM = """
import json, sys
from pathlib import Path
from lift import LiftTrainer
from lift.tasks import sudoku
from tests.lift.tiny import tiny_config, tiny_model, uneven_rows

out, size, accumulation = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
config = tiny_config(
    out, per_device_train_batch_size=size, gradient_accumulation_steps=accumulation, optim="sgd", learning_rate=0.1,
    timestep_distribution="low_discrepancy", pad_in_loss=False, **json.loads(sys.argv[4]),
)
trainer = LiftTrainer(
    model=tiny_model(), args=config, train_dataset=uneven_rows(), processing_class=sudoku.build_tokenizer()
)
trainer.train(resume_from_checkpoint=sys.argv[5] if len(sys.argv) > 5 else None)
trainer.save_model()
trainer.end()
"""


def launch(command: list[str], root: Path) -> subprocess.CompletedProcess[str]:
    """Run a command; gloo rarely aborts while processes exit ("terminate called ..."), and only that is tried again."""
    environment = {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin", "HF_HUB_OFFLINE": "1"}
    for _ in range(3):
        result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
        if "terminate called without an active exception" not in result.stderr:
            break
    return result


def ends(folder: Path, runs: dict[str, list[str]]) -> dict[str, dict[str, torch.Tensor]]:
    """The weights after each run: name -> the program's arguments after the output folder, two processes for "two"."""
    program = folder / "program.py"
    program.write_text(_PROGRAM)
    weights = {}
    for name, arguments in runs.items():
        command = [sys.executable, str(program)]
        if name.startswith("two"):
            command[1:1] = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
        result = launch([*command, str(folder / name), *arguments], Path(__file__).parents[2])
        assert result.returncode == 0, result.stderr[-3000:]
        weights[name] = load_file(folder / name / "model.safetensors")
    return weights


def assert_same(weights: dict[str, torch.Tensor], truth: dict[str, torch.Tensor], **tolerance: float) -> None:
    assert weights.keys() == truth.keys()
    for name, tensor in truth.items():
        torch.testing.assert_close(weights[name], tensor, **tolerance, msg=name)


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no torch.distributed")
def test_two_processes_and_accumulation_train_as_one(tmp_path: Path):
    """Rows of many lengths, so that micro-batches of a step hold different numbers of tokens."""
    weights = ends(tmp_path, {"one": ["4", "1", "{}"], "accumulated": ["2", "2", "{}"], "two": ["2", "1", "{}"]})
    for other in ("accumulated", "two"):
        assert_same(weights[other], weights["one"], rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no torch.distributed")
def test_two_processes_group_by_length_as_one_and_resume_within_an_epoch(tmp_path: Path):
    """6 steps are an epoch; two processes stop after 8."""
    options = json.dumps({**GROUPED, "max_steps": 9, "save_strategy": "steps", "save_steps": 8})
    weights = ends(
        tmp_path,
        {
            "one": ["4", "1", options],
            "two": ["2", "1", options],
            "two_resumed": ["2", "1", options, str(tmp_path / "two" / "checkpoint-8")],
        },
    )
    assert_same(weights["two"], weights["one"], rtol=1e-4, atol=1e-6)
    assert_same(weights["two_resumed"], weights["two"], rtol=0, atol=0)
