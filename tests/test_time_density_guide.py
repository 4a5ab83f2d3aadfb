"""The code of docs/time_density.md runs as it stands, and its commands are understood."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from lift.cli.measure_t_arguments import parse
from lift.cli.train_arguments import check_quickly
from lift.tasks import sudoku
from lift_kernels import apply_lift_kernels
from tests.lift.support.clean_rows import DENSITY
from tests.lift.support.tiny import tiny_model, tiny_rows

GUIDE = (Path(__file__).resolve().parents[1] / "docs" / "time_density.md").read_text("utf-8")


def test_the_code_measures():
    (block,) = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    names = {"model": apply_lift_kernels(tiny_model()), "dataset": tiny_rows(2)}
    exec(block, names | {"mask_token_id": sudoku.build_tokenizer().mask_token_id}, found := {})
    assert len(found["found"].points) == 31


def test_the_commands_are_understood(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("density.json").write_text(Path(DENSITY).read_text())
    measure, train = re.findall(r"^lift .*$", GUIDE, re.MULTILINE)
    assert parse(shlex.split(measure)[2:]).own.output == "density.json"
    check_quickly(shlex.split(train)[2:])
