"""Plans and finished runs without any training."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from lift.cli.comparison.arms import Arm
from lift.cli.comparison.options import read_options
from lift.cli.comparison.plan import Plan, make_plan
from lift.cli.comparison.runs import Run
from tests.lift.cli.support import TINY_RUN

CONFIG = TINY_RUN  # a Sudoku run of three steps


def plan_of(folder: Path, *words: str, config: list[str] = CONFIG) -> Plan:
    """The plan of a command."""
    methods = [] if "--methods" in words else ["--methods", "sft,lift3"]
    return make_plan(*read_options([*methods, *config, *words, "--output_dir", str(folder)]))


def finish(folder: Path, steps: int, seconds: float, lines: list[dict]) -> None:
    """Leave what a finished run leaves."""
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps({"steps": steps, "train_seconds": seconds, "after": {}}))
    (folder / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "environment.json").write_text(json.dumps({"starts": [{"python": "3.x", "versions": {"torch": "2.x"}}]}))


def history(steps: int, loss: float, solved: float) -> list[dict]:
    """The lines of a run: evaluations before, half-way and after, and the puzzles before and after."""
    return [
        {"step": 0, "seconds": 0.0, "eval_loss": 2.0, "eval_runtime": 1.0},
        {"step": 0, "seconds": 0.0, "score": {"held_out": {"valid": 0.0}}},
        {"step": steps // 2, "seconds": 1.0, "eval_loss": loss + 0.5},
        {"step": steps, "seconds": 2.0, "loss": 1.0, "nll": 1.0},
        {"step": steps, "seconds": 2.0, "eval_loss": loss},
        {"step": steps, "seconds": 9.0, "score": {"held_out": {"valid": solved}}},
    ]


SOLVED = {"sft": (0.50, 0.40, 0.60), "lift3": (0.53, 0.44, 0.62), "sft x1.22": (0.52, 0.42, 0.60)}
"""Of each arm, by seed."""

ARMS = [Arm("sft", "sft"), Arm("lift3", "lift3"), Arm("sft x1.22", "sft", factor=1.22)]


def finished_plan(folder: Path) -> Plan:
    """A comparison of sft and lift3 with three seeds, all of whose runs are finished."""
    runs = []
    for arm in ARMS:
        for seed, solved in enumerate(SOLVED[arm.name]):
            name = f"{arm.file_name}-seed-{seed}"
            runs.append(Run(name, arm.name, seed, {}))
            steps = round(100 * arm.factor)
            finish(folder / "runs" / name, steps, 2.0 * arm.factor, history(steps, 1 - solved, solved))
    costs = {"sft": 1.0, "lift3": 11 / 9, "sft x1.22": 1.0}
    return Plan(folder, ARMS, costs, 1 / 3, {"lift3": "sft x1.22"}, range(3), runs, "sudoku", True)


class FakeTraining:
    """In the place of `train_in_child`: finishes a run at once, or does with it what `told` says by its name.

    `told` maps names to a status and what is said last; `calls` are the words of each call.
    """

    def __init__(self, told: dict[str, tuple[int, str]] | None = None) -> None:
        self.told, self.calls = told or {}, []

    def __call__(self, words, log, lock):
        self.calls.append(list(words))
        settings = yaml.safe_load(Path(words[0]).read_text("utf-8"))
        folder = Path(settings["output_dir"])
        if folder.name in self.told:
            return self.told[folder.name]
        for name in ("metrics.json", "history.jsonl", "environment.json"):
            (folder / name).unlink(missing_ok=True)
        steps = settings.get("max_steps", 3)
        assert not (folder / "rest").exists()
        for checkpoint in folder.glob("checkpoint-*/trainer_state.json"):
            checkpoint.unlink()
            checkpoint.parent.rmdir()
        if folder.is_dir():
            folder.rmdir()
        finish(folder, steps, 1.0, history(steps, 1.0, 0.5))
        return 0, "wrote"
