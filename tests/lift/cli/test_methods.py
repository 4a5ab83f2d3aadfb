"""`lift methods` lists each method with its summary."""

from __future__ import annotations

from lift.cli import main
from lift.objectives import METHODS


def test_each_method_has_a_line(capsys):
    assert main(["methods"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0]: line.split(maxsplit=1)[1] for line in lines[: len(METHODS)]} == {
        name: method.summary for name, method in METHODS.items()
    }
    assert lines[-1].startswith("lift train --method NAME")
    assert max(map(len, lines[: len(METHODS)])) <= 80


def test_it_takes_no_arguments(capsys):
    assert main(["methods", "sft"]) == 2
    assert "'sft'" in capsys.readouterr().err
