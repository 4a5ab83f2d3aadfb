"""What environment.json says of a start."""

from __future__ import annotations

import json
import platform
import subprocess
from importlib.metadata import version
from types import SimpleNamespace

import torch

from lift.cli.run_environment import environment, git_state


def test_it_names_versions_seed_and_machine_but_no_host():
    model = torch.nn.Linear(2, 2, dtype=torch.bfloat16)
    args = SimpleNamespace(seed=7, world_size=2, bf16=True, fp16=False)
    facts = json.loads(json.dumps(environment("lift train --seed 7", args, model, step=3)))
    assert facts["versions"]["torch"] == version("torch") and facts["versions"]["lift-kernels"] == version(
        "lift-kernels"
    )
    assert (facts["seed"], facts["num_processes"], facts["step"], facts["dtype"], facts["mixed_precision"]) == (
        7,
        2,
        3,
        "bfloat16",
        "bf16",
    )
    assert facts["python"] == platform.python_version() and facts["command"] == "lift train --seed 7"
    assert facts["machine"]["cpus"] > 0 and facts["machine"]["memory_bytes"] > 2**28
    assert facts["machine"]["gpus"] == [] or torch.cuda.is_available()
    host = platform.node()
    assert len(host) < 6 or host not in json.dumps(facts)


def test_git_knows_the_commit_and_whether_tracked_files_differ(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_state() is None
    name = ["-c", "user.name=n", "-c", "user.email=e"]
    (tmp_path / "a").write_text("1")
    for words in (["init", "-q"], ["add", "a"], [*name, "commit", "-qm", "x"]):
        subprocess.run(["git", *words], check=True)
    (tmp_path / "untracked").touch()
    clean = git_state()
    assert clean is not None and len(clean["commit"]) == 40 and clean["is_dirty"] is False
    (tmp_path / "a").write_text("2")
    assert git_state() == clean | {"is_dirty": True}
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state() is None  # without git
