"""Two processes with gloo on a CPU: the same training as LiftTrainer in one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.lift.support.labelled import weights_of_lift_trainer
from tests.lift.support.launchers import torchrun
from tests.lift.support.tiny import tiny_model

_PLAIN = {"method": "lift3", "pad_in_loss": False}
_OPTIONS = {"full": _PLAIN, "block": _PLAIN | {"attention": "block", "block_size": 4}}
_PROGRAM = """
import json
import sys
from pathlib import Path
from lift.objectives.options import LiftOptions
from tests.lift.support import loss_function_trainer, trl_trainer
from tests.lift.support.labelled import labelled_rows

out = Path(sys.argv[1])
size = {"per_device_train_batch_size": 2}
for attention, options in json.loads(sys.argv[2]).items():
    loss_function = loss_function_trainer.make_trainer(out, LiftOptions(**options), **size)
    sft = trl_trainer.make_trainer(out, labelled_rows(), **options, **size)
    for name, trainer in {"loss_function": loss_function, "sft": sft}.items():
        trainer.train()
        trainer.save_model(out / attention / name)
sft.end()
"""


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no torch.distributed")
def test_two_processes_train_as_one(tmp_path: Path):
    pytest.importorskip("trl", reason="trl is not installed")
    program = tmp_path / "program.py"
    program.write_text(_PROGRAM)
    torchrun(2, program, tmp_path, json.dumps(_OPTIONS))
    names = [name for name, _ in tiny_model().named_parameters()]
    for attention, options in _OPTIONS.items():
        expected = dict(zip(names, weights_of_lift_trainer(tmp_path, **options), strict=True))
        for trainer in ("loss_function", "sft"):
            found = load_file(tmp_path / attention / trainer / "model.safetensors")
            for name, tensor in found.items():
                told = f"{attention}, {trainer}: {name}"
                torch.testing.assert_close(tensor, expected[name], rtol=1e-4, atol=1e-6, msg=told)
