"""`python -m benchmarks.objectives`: what a training step of each objective costs, relative to plain SFT.

The demo's model and batch; the methods take turns, so that a drift of the machine meets all alike. A step is loss,
backward and optimiser. With a forward of 1 and a backward of 2, LIFT-3 would cost 22 % more than SFT, LIFT-2 and GIFT
33 %: a second forward in two thirds, or in all, of the steps.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import yaml
from transformers import AutoConfig, AutoModelForMaskedLM

from benchmarks.measure import summary
from benchmarks.run import environment
from lift import LiftConfig, LiftTrainer, prepare_dataset
from lift.recipes import PRESETS
from lift.tasks import sudoku

OBJECTIVES: dict[str, dict[str, Any]] = {
    "sft": {"method": "sft"},
    "lift3": {"method": "lift3"},
    "lift2": {"method": "lift2"},
    "gift": {"method": "gift"},
    "cart": {"method": "cart"},
    "lift3, one forward": {"method": "lift3", "one_forward": True},
    "lift3, one forward, soft": {"method": "lift3", "one_forward": True, "learnability": "soft"},
    "lift3, cache": {"method": "lift3", "score_source": "cache"},
    "lift3, frequency": {"method": "lift3", "score_source": "frequency"},
    "lift3, complementary": {"method": "lift3", "complementary": True},
}


class Runner:
    """Steps of one objective, on a model of its own that starts like the others'."""

    def __init__(self, options: dict[str, Any], preset: dict[str, Any], rows: Any, folder: str) -> None:
        torch.manual_seed(0)
        tokenizer = sudoku.build_tokenizer()
        ids = {"pad_token_id": tokenizer.pad_token_id, "vocab_size": len(tokenizer)}
        model = AutoModelForMaskedLM.from_config(AutoConfig.for_model(**preset["model_config"], **ids))
        args = LiftConfig(
            output_dir=folder, per_device_train_batch_size=preset["per_device_train_batch_size"], disable_tqdm=True,
            use_cpu=True, save_strategy="no", report_to="none", **options,
        )  # fmt: skip
        self.trainer = LiftTrainer(model, args, train_dataset=rows, processing_class=tokenizer)
        self.batches = list(self.trainer.get_train_dataloader())
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=preset["learning_rate"])
        self.model = model.train()

    def step(self, number: int) -> None:
        self.trainer.state.global_step = number
        inputs = self.batches[number % len(self.batches)]
        self.trainer.compute_loss(self.model, inputs).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    preset = yaml.safe_load((PRESETS / "sudoku.yaml").read_text())
    puzzles = sudoku.generate_puzzles(20 * preset["per_device_train_batch_size"], seed=0)
    rows = prepare_dataset(sudoku.rows(puzzles), sudoku.build_tokenizer(), max_length=preset["max_length"])
    samples: dict[str, list[float]] = {name: [] for name in OBJECTIVES}
    with tempfile.TemporaryDirectory() as folder:
        runners = {name: Runner(changes, preset, rows, folder) for name, changes in OBJECTIVES.items()}
        for number in range(options.steps + 3):
            for name, runner in runners.items():
                start = time.perf_counter()
                runner.step(number)
                if number >= 3:  # the first steps warm up
                    samples[name].append(1e3 * (time.perf_counter() - start))
    # The mean, as modes differ from step to step; of like steps, as all objectives draw the same times.
    means = {name: sum(values) / len(values) for name, values in samples.items()}
    size = f"{preset['per_device_train_batch_size']} rows of {preset['max_length']} tokens"
    print(f"a step of {size}, mean of {options.steps}")
    results = []
    for name, mean in means.items():
        results.append({"objective": name, "mean_ms": mean, "relative": mean / means["sft"], **summary(samples[name])})
        print(f"  {name:<26} {mean:7.1f} ms  {mean / means['sft']:5.2f} x sft")
    record = {
        "command": " ".join(["python -m benchmarks.objectives", *sys.argv[1:]]),
        **environment(),
        "objectives": results,
    }
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / f"{datetime.date.today():%Y-%m-%d}-cpu-objectives.json"
    path.write_text(json.dumps(record, indent=1) + "\n")
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
