"""`lift presets` lists each preset with what its file says first."""

from __future__ import annotations

from lift.cli import main
from lift.recipes import preset_summaries


def test_each_preset_has_a_line(capsys):
    assert main(["presets"]) == 0
    shown = capsys.readouterr().out
    entries, _, last = shown.replace("\n" + " " * 18, " ").partition("\n\n")
    assert [line.split(maxsplit=1) for line in entries.splitlines()] == [
        list(entry) for entry in preset_summaries().items()
    ]
    assert last.startswith("lift train --preset NAME") and max(map(len, shown.splitlines())) <= 80


def test_it_takes_no_arguments(capsys):
    assert main(["presets", "--all"]) == 2
    assert (
        capsys.readouterr().err == "lift presets: unknown argument '--all': lift presets --help lists what there is.\n"
    )
