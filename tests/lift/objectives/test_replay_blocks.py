"""Recorded steps of published block diffusion trainers are repeated, and a difference is found."""

from __future__ import annotations

import json
import runpy
import sys

import pytest

from tests.lift.objectives.replay_blocks import main
from tests.lift.support.golden_blocks import Case


@pytest.fixture
def golden_blocks(shared_dir):
    folder = shared_dir / "golden_blocks"
    if not folder.is_dir():
        pytest.skip("the folder ../shared has no recorded steps of block diffusion trainers")
    return folder


def test_every_recorded_step_is_equal(golden_blocks, capsys):
    assert main(golden_blocks) == 0, capsys.readouterr().err
    assert int(capsys.readouterr().out.split()[0]) >= 12


@pytest.mark.parametrize(
    ("case", "what"),
    [
        ("dfactory", "noisy_ids"), ("dfactory", "attention_allowed"), ("dfactory", "labels"), ("dfactory", "loss"),
        ("dllm_bd3lm", "grad_head_weight"), ("turbo_standard", "loss_weights"), ("sdar_packed", "fwd0_position_ids"),
        ("nemo_blockwise", "is_masked"), ("bd3lms", "t"),
    ],
)  # fmt: skip
def test_a_difference_is_named(golden_blocks, case, what):
    found = Case.read(golden_blocks / f"train_{case}_a")
    entry = found.tensors[what].view(-1)
    entry[-1] = ~entry[-1] if entry.dtype.is_signed is False else entry[-1] * 1.001 + 1
    assert [sentence.split()[0].rstrip(":") for sentence in found.differences()] == [what]


def test_what_is_not_replayed_is_named(golden_blocks):
    found = Case.read(golden_blocks / "train_dfactory_a")
    found.tensors["something"] = found.tensors["labels"]
    assert found.differences() == ["something is not replayed"]


def test_the_command_prints_how_many_are_equal(golden_blocks, tmp_path, monkeypatch, capsys):
    source = golden_blocks / "train_turbo_standard_a"
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        for suffix in ("json", "safetensors"):
            (folder / f"{name}.{suffix}").write_bytes((source / f"{source.name}.{suffix}").read_bytes())
    record = json.loads((tmp_path / "second" / "second.json").read_text())
    (tmp_path / "second" / "second.json").write_text(json.dumps(record | {"active_tokens": 1}))
    monkeypatch.delitem(sys.modules, "tests.lift.objectives.replay_blocks")
    monkeypatch.setattr(sys, "argv", ["replay_blocks", str(tmp_path)])
    with pytest.raises(SystemExit, match="1"):
        runpy.run_module("tests.lift.objectives.replay_blocks", run_name="__main__")
    printed = capsys.readouterr()
    assert printed.out == "1 of 2 equal\n" and "second: active_tokens: 9 instead of 1" in printed.err
