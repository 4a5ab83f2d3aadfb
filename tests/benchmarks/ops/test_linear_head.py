"""`pytest benchmarks` as a process, at tiny shapes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
PROVIDERS = (
    "bare matrix products",
    "lift_kernels",
    "lift_kernels, two calls",
    "logits",
    "F.linear_cross_entropy",
    "quack",
)
# Another op under the name of ours.
WRONG = """
import pytest
from benchmarks.ops import own_providers
real = own_providers.linear_cross_entropy
def wrong(hidden_states, weight, targets, **options):
    return real(hidden_states, weight.flip(0), targets, **options)
own_providers.linear_cross_entropy = wrong
pytest.main({arguments})
"""


def run(arguments: list[str], *, wrong: bool = False) -> subprocess.CompletedProcess[str]:
    chosen = [f"--provider={name}" for name in PROVIDERS]
    arguments = ["benchmarks", "--smoke", "-q", "-p", "no:cacheprovider", *chosen, *arguments]
    command = ["-c", WRONG.format(arguments=arguments)] if wrong else ["-m", "pytest", *arguments]
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, cwd=ROOT)


def test_every_provider_has_its_error_beside_its_time(tmp_path):
    path = tmp_path / "results.json"
    ended = run([f"--benchmark-json={path}"])
    assert ended.returncode == 0, ended.stdout
    record = json.loads(path.read_text())
    facts = record["machine_info"]["lift"]
    assert {"commit", "torch", "threads"} <= set(facts) and "--smoke" in facts["command"]
    assert facts["load_before"] >= 0 and facts["load_after"] >= 0
    rows = [entry["extra_info"] for entry in record["benchmarks"]]
    assert len({row["case"] for row in rows}) == 6
    assert {row["provider"] for row in rows} >= {name for name in PROVIDERS if name != "quack"}
    for row in rows:
        assert row["median_ms"] > 0 and row["ratio_to_products"] > 0 and row["products"]["rounds"] == row["rounds"] == 2
        if row["provider"] != "bare matrix products":
            assert {"token_loss_error_nats", "mean_loss_error_nats"} & set(row)
            assert (row["inaccuracy"] is None) == row["own"]


def test_ours_must_be_right(tmp_path):
    path = tmp_path / "results.json"
    ended = run([f"--benchmark-json={path}", "--work=loss", "--head=frozen"], wrong=True)
    assert "smoke-16-0.5-loss-frozen-bfloat16, lift_kernels: the loss of a token: off by" in ended.stdout
    assert "1 failed" in ended.stdout


def test_what_is_unknown_is_an_error():
    ended = run(["--model=no-such"])
    assert ended.returncode == 4 and "invalid choice" in ended.stderr
