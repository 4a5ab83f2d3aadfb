"""Two processes with gloo on a CPU: the global gradient of every family equals that of the logits in one process."""

from __future__ import annotations

import json

import pytest
import torch

from tests.lift.support.launchers import torchrun
from tests.lift_kernels import wrapped_models
from tests.lift_kernels.tiny_models import TINY_MODELS


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no torch.distributed")
def test_every_family_under_ddp_and_fsdp2(tmp_path):
    """One of the processes has no label at all; the head is a unit of its own where its weight is not shared."""
    torchrun(2, "--module", wrapped_models.__name__, tmp_path / "done.json")
    done = {tuple(pair) for pair in json.loads((tmp_path / "done.json").read_text())}
    assert done == {(name, wrap) for name in TINY_MODELS for wrap in ("as_ddp", "as_fsdp2")}
