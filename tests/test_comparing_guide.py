"""The commands of docs/comparing.md are ones that can be planned, and its figures of cost are those that are used."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from lift.cli.comparison.options import read_options
from lift.cli.comparison.plan import Plan, make_plan

ROOT = Path(__file__).resolve().parents[1]
GUIDE = (ROOT / "docs" / "comparing.md").read_text("utf-8")
COMMANDS = re.findall(r"^lift compare (.*)$", GUIDE, re.MULTILINE)


@pytest.fixture
def planned(tmp_path, monkeypatch):
    """Return the plan of a command in a folder with a configuration."""
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text("model_name_or_path: base\ntrain_data: rows.jsonl\nmethod: gift\n")

    def plan(command: str) -> Plan:
        return make_plan(*read_options(shlex.split(command)))

    return plan


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_can_be_planned(planned, command):
    plan = planned(command)
    assert len(plan.runs) >= 5 * len(plan.arms) and plan.folder.name == "compared"
    assert [run.name for run in plan.runs].count("start-seed-42") == ("--start_steps" in command)


def test_methods_with_flags_and_the_costs_are_those_of_the_page(planned):
    assert len(COMMANDS) == 2
    for methods in re.findall(r"`(?:--methods )?(sft,[^`]*:[^`]*)`", GUIDE):
        planned(f"--methods {methods} mine.yaml --output_dir out")
    plan = planned("--methods sft,lift3,hard,lift2,gift mine.yaml --output_dir out")
    assert set(plan.equal_compute.values()) == {"sft x1.22", "sft x1.33"}
    assert "`lift3` is compared with `sft x1.22` too, `lift2`, `hard` and `gift` with `sft x1.33`" in " ".join(
        GUIDE.split()
    )
