"""Two processes with gloo on a CPU: the same training as one process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

_PROGRAM = """
import sys
from pathlib import Path
import torch
from lift import LiftTrainer
from lift.tasks import sudoku
from tests.lift.tiny import tiny_config, tiny_model, uneven_rows

out, size, accumulation = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
config = tiny_config(
    out, per_device_train_batch_size=size, gradient_accumulation_steps=accumulation, optim="sgd", learning_rate=0.1,
    timestep_distribution="low_discrepancy", pad_in_loss=False,
)
trainer = LiftTrainer(
    model=tiny_model(), args=config, train_dataset=uneven_rows(), processing_class=sudoku.build_tokenizer()
)
trainer.train()
trainer.save_model()
if torch.distributed.is_initialized():
    torch.distributed.destroy_process_group()
"""


def launch(command: list[str], root: Path) -> subprocess.CompletedProcess[str]:
    """Run a command; gloo rarely aborts while processes exit ("terminate called ..."), and only that is tried again."""
    environment = {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin", "HF_HUB_OFFLINE": "1"}
    for _ in range(3):
        result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
        if "terminate called without an active exception" not in result.stderr:
            break
    return result


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no torch.distributed")
def test_two_processes_and_accumulation_train_as_one(tmp_path: Path):
    """Rows of many lengths, so that micro-batches of a step hold different numbers of tokens."""
    program = tmp_path / "program.py"
    program.write_text(_PROGRAM)
    root = Path(__file__).parents[2]
    launchers = {
        "one": [sys.executable, str(program), str(tmp_path / "one"), "4", "1"],
        "accumulated": [sys.executable, str(program), str(tmp_path / "accumulated"), "2", "2"],
        "two": [
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", str(program),
            str(tmp_path / "two"), "2", "1",
        ],
    }  # fmt: skip
    weights = {}
    for name, command in launchers.items():
        result = launch(command, root)
        assert result.returncode == 0, result.stderr[-3000:]
        weights[name] = load_file(tmp_path / name / "model.safetensors")
    for other in ("accumulated", "two"):
        assert weights["one"].keys() == weights[other].keys()
        for name, tensor in weights["one"].items():
            torch.testing.assert_close(weights[other][name], tensor, rtol=1e-4, atol=1e-6, msg=f"{other}: {name}")
