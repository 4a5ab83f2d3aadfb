"""Recorded runs of published samplers are decoded again, token for token, and a difference is found."""

from __future__ import annotations

import json
import runpy
import sys

import pytest

from tests.lift.sampling.replay import difference, main
from tests.lift.support.golden_sampler import Case


def test_every_recorded_run_is_equal(shared_dir, capsys):
    assert main(shared_dir / "golden_samplers") == 0, capsys.readouterr().err
    number = capsys.readouterr().out.split()[0]
    assert int(number) >= 30


@pytest.mark.parametrize("what", ["ids", "forwards", "order"])
def test_a_difference_is_named(shared_dir, what):
    case = Case.read(shared_dir / "golden_samplers" / "llada_blocks_a")
    if what == "ids":
        case.tensors["output_ids"][0, -1] += 1
    elif what == "forwards":
        case.record["num_forwards"] += 1
    else:
        case.tensors["unmask_step"][0, -1] += 1
    assert what in difference(case, "unknown stub")


def test_the_command_prints_how_many_are_equal(shared_dir, tmp_path, monkeypatch, capsys):
    source = shared_dir / "golden_samplers" / "llada_blocks_a"
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        for suffix in ("json", "safetensors"):
            (folder / f"{name}.{suffix}").write_bytes((source / f"llada_blocks_a.{suffix}").read_bytes())
    record = json.loads((tmp_path / "second" / "second.json").read_text())
    (tmp_path / "second" / "second.json").write_text(json.dumps(record | {"num_forwards": 1}))
    monkeypatch.delitem(sys.modules, "tests.lift.sampling.replay")
    monkeypatch.setattr(sys, "argv", ["replay", str(tmp_path)])
    with pytest.raises(SystemExit, match="1"):
        runpy.run_module("tests.lift.sampling.replay", run_name="__main__")
    printed = capsys.readouterr()
    assert printed.out == "1 of 2 equal\n" and "second, by logits: 9 forwards instead of 1" in printed.err
