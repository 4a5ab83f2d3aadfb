"""`python -m benchmarks.models`: peak memory of a training step of each model family, patched against its own logits.

A two-layer model with a real vocabulary, so that what differs is the head. Each step runs in a process of its own; the
peak is resident memory beyond what the process held before the step, gradients included. Gate: both losses agree.
"""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks.measure import peak_of
from benchmarks.run import environment
from lift_kernels import apply_lift_kernels
from lift_kernels.testing import aligned_logits, logits_loss
from tests.lift_kernels.tiny_models import (
    TINY_MODELS,
    Sizes,
    build,
    labels_for,
)

_RESULTS = Path(__file__).parent / "results"
_ROOT = _RESULTS.parents[1]
SIZES = Sizes(vocab=126_464, width=128, rows=2, length=512)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", action="append", choices=list(TINY_MODELS), help="default: all")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=_RESULTS, help="folder for the JSON file")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(
        f"{SIZES.rows} x {SIZES.length} tokens, half of them masked, V={SIZES.vocab}, D={SIZES.width}, float32, the "
        f"head trained and frozen, {options.threads} threads: MiB at the peak of loss and gradients"
    )
    rows = []
    for name in options.family or TINY_MODELS:
        for trains_head in (True, False):
            row: dict[str, Any] = {"family": name, "trains_head": trains_head}
            for path in ("logits", "patched"):
                row[path] = _in_a_process(name, path, trains_head, options.threads)
            losses = row["logits"]["loss"], row["patched"]["loss"]
            if not abs(losses[0] - losses[1]) <= 1e-5 * abs(losses[0]):
                raise SystemExit(f"{name}: the losses {losses} differ, so nothing is reported")
            row["ratio"] = row["logits"]["peak_mib"] / row["patched"]["peak_mib"]
            rows.append(row)
            print(
                f"  {name:<20} {'trained' if trains_head else 'frozen':<8} logits {row['logits']['peak_mib']:6.0f}   "
                f"patched {row['patched']['peak_mib']:6.0f}   {row['ratio']:5.1f} x"
            )
    record = {
        "command": " ".join(["python -m benchmarks.models", *sys.argv[1:]]), **environment(),
        "sizes": vars(SIZES), "dtype": "float32", "masked": 0.5, "families": rows,
    }  # fmt: skip
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / f"{datetime.date.today():%Y-%m-%d}-cpu-models.json"
    path.write_text(json.dumps(record, indent=1) + "\n")
    print(f"\nwrote {path}")


def _in_a_process(name: str, path: str, trains_head: bool, threads: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.models", "--one", name, path, str(int(trains_head)), str(threads)]
    output = subprocess.run(command, check=True, capture_output=True, text=True, cwd=_ROOT)
    result: dict[str, float] = json.loads(output.stdout.splitlines()[-1])
    return result


def measure_here(name: str, path: str, trains_head: bool) -> dict[str, float]:
    """Loss and peak of one step in this process."""
    torch.manual_seed(0)
    model = build(name, torch.float32, SIZES)
    if not trains_head:
        model.get_output_embeddings().requires_grad_(False)
    inputs, labels = TINY_MODELS[name].inputs(SIZES), labels_for(name, SIZES)
    token_weight = torch.rand(labels.shape) * 10
    if path == "patched":
        apply_lift_kernels(model)

    def step() -> float:
        if path == "patched":
            loss = model(**inputs, labels=labels, token_weight=token_weight, denominator=1000.0).loss
        else:
            loss = logits_loss(
                aligned_logits(model, inputs, predicts_next=TINY_MODELS[name].predicts_next),
                labels,
                token_weight,
                1000.0,
            )
        loss.backward()
        return loss.item()

    with torch.no_grad():  # libraries load and pools open before the measurement
        model(**{key: value[:1] for key, value in inputs.items()})
    loss, peak = peak_of(step)
    return {"loss": loss, "peak_mib": peak / 2**20}


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        torch.set_num_threads(int(sys.argv[5]))
        print(json.dumps(measure_here(sys.argv[2], sys.argv[3], sys.argv[4] == "1")))
    else:
        main()
