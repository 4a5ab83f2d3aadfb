"""`lift doctor` says what there is, and where the configurations for accelerate lie."""

from __future__ import annotations

from pathlib import Path

from lift.cli import main


def test_versions_backends_and_configurations(capsys):
    assert main(["doctor"]) == 0
    report = capsys.readouterr().out
    assert "cpu: torch" in report and "transformers " in report
    configurations = Path(report.strip().splitlines()[-1].partition("--config_file: ")[2])
    assert {path.name for path in configurations.iterdir()} == {"ddp.yaml", "fsdp2.yaml", "zero2.yaml", "zero3.yaml"}


def test_it_has_help_and_takes_no_arguments(capsys):
    assert main(["doctor", "--help"]) == 0
    assert capsys.readouterr().out.startswith("usage: lift doctor")
    assert main(["doctor", "all"]) == 2
    assert "doctor takes no arguments, got 'all'" in capsys.readouterr().err
