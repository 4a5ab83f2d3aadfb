from __future__ import annotations

import pytest

from benchmarks.harness import environment
from tests.benchmarks.support import HERE


@pytest.mark.parametrize("outcome", ["missing", "failing", "garbled", "present"])
def test_facts_of_the_card_are_optional(monkeypatch, outcome):
    class Result:
        returncode = 9 if outcome == "failing" else 0
        stdout = "580.159.04, 1980 MHz\n" if outcome != "garbled" else "Failed to initialize NVML\n"

    def run(command, **_):
        if outcome == "missing":
            raise FileNotFoundError("nvidia-smi")
        assert "--query-gpu=driver_version,clocks.sm" in command
        return Result()

    monkeypatch.setattr(environment.subprocess, "run", run)
    driver, clock = ("580.159.04", "1980 MHz") if outcome == "present" else (None, None)
    assert environment.query_card("driver_version", "clocks.sm") == {"driver_version": driver, "clocks.sm": clock}


def test_the_environment_without_git_names_the_commit_it_is_told(monkeypatch):
    def no_git(*_, **__):
        raise FileNotFoundError("git")

    monkeypatch.setattr(environment.subprocess, "run", no_git)
    monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", "1")
    facts = environment.device_environment(HERE, "abc")
    assert facts["commit"] == "abc" and facts["device"] == "cpu" and facts["settings"]["THP_MEM_ALLOC_ENABLE"] == "1"
    assert environment.host_environment()["commit"] is None
