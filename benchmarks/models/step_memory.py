"""Loss and peak memory of one training step of a model, in a process of its own.

`python -m benchmarks.models.step_memory STEP` is that process, where STEP is a `ModelStep` as JSON.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from benchmarks.harness.memory import MIB, resident_peak_of
from benchmarks.harness.own_process import answer_of
from benchmarks.models.families import FAMILIES, Sizes, build_model, inputs_for
from lift import load_model
from lift_kernels import apply_lift_kernels
from lift_kernels.models import find_model_family, vocab_size_of
from lift_kernels.testing import aligned_logits, logits_loss

_DENOMINATOR = 1000.0


@dataclass(frozen=True)
class ModelStep:
    """What is measured: `model` is a family of `FAMILIES`, or a checkpoint's folder."""

    model: str
    path: Literal["logits", "patched"]
    trains_head: bool
    sizes: Sizes
    threads: int
    trust_remote_code: bool = False

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> ModelStep:
        values = json.loads(text)
        return cls(**{**values, "sizes": Sizes(**values["sizes"])})


def measure_in_a_process(step: ModelStep) -> dict[str, float]:
    """Return `loss` in nats, and `peak_mib`: resident memory beyond that before the step, gradients included.

    Raises:
        RuntimeError: the process failed; the message ends with what it said.
    """
    result: dict[str, float] = answer_of(__name__, step.to_json())
    return result


def measure_here(step: ModelStep) -> dict[str, float]:
    """Measure in this process, which should have done nothing before."""
    model, sizes = _model(step)
    family = find_model_family(model)
    if not step.trains_head:
        family.head(model).requires_grad_(False)
    inputs = inputs_for(model, sizes)
    labels = labels_for(sizes, predicts_next=family.predicts_next)
    token_weight = torch.rand(labels.shape) * 10
    if step.path == "patched":
        apply_lift_kernels(model)

    def run() -> float:
        if step.path == "patched":
            loss = model(**inputs, labels=labels, token_weight=token_weight, denominator=_DENOMINATOR).loss
        else:
            logits = aligned_logits(model, inputs, predicts_next=family.predicts_next)
            loss = logits_loss(logits, labels, token_weight, _DENOMINATOR)
        loss.backward()
        value: float = loss.item()
        return value

    with torch.no_grad():  # libraries load and pools open before the measurement
        model(**{key: value[:1] for key, value in inputs.items()})
    loss, peak = resident_peak_of(run)
    return {"loss": loss, "peak_mib": peak / MIB}


def labels_for(sizes: Sizes, *, predicts_next: bool) -> Tensor:
    """Return labels of half of the tokens (rows, length), else -100; of no first token where nothing predicts it."""
    shape = (sizes.rows, sizes.length)
    labels = torch.randint(sizes.vocab, shape).where(torch.rand(shape) < 0.5, -100)
    labels[:, 1] = 3
    if predicts_next:
        labels[:, 0] = -100
    return labels


def _model(step: ModelStep) -> tuple[nn.Module, Sizes]:
    """The model, and sizes with its own vocabulary. What the inputs are drawn from is seeded besides."""
    if step.model in FAMILIES:
        model = build_model(step.model, step.sizes)
    else:
        model = load_model(step.model, trust_remote_code=step.trust_remote_code)
    torch.manual_seed(1)
    return model.train(), replace(step.sizes, vocab=vocab_size_of(find_model_family(model).head(model)))


if __name__ == "__main__":
    wanted = ModelStep.from_json(sys.argv[1])
    torch.set_num_threads(wanted.threads)
    print(json.dumps(measure_here(wanted)))
