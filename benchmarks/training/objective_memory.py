"""Peak memory of loss and gradients of one objective with a real vocabulary, in a process of its own.

`python -m benchmarks.training.objective_memory STEP` is that process, where STEP is a `MemoryStep` as JSON.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import ModernBertConfig, ModernBertForMaskedLM

from benchmarks.harness.memory import MIB, hand_back_freed, resident_peak_of
from benchmarks.harness.own_process import answer_of
from benchmarks.models.families import Sizes
from benchmarks.training.objectives import with_density
from benchmarks.training.step_runner import loss_of_step
from lift import METHODS, LiftConfig, LiftTrainer
from lift.tasks import sudoku
from lift_kernels import remove_lift_kernels
from lift_kernels.testing import logits_loss

# So many tokens that no objective's logits fit the workspace of the fused loss.
SIZES = Sizes(width=64, rows=4, length=512)
_LEAST_ID = 2  # of a token; those below are padding and the mask token


@dataclass(frozen=True)
class MemoryStep:
    """What is measured."""

    options: dict[str, Any]
    """The fields of `LiftConfig` that make the objective."""

    sizes: Sizes
    threads: int
    by_logits: bool = False
    """Form the loss of sft from the logits of all positions, as a model of transformers does."""

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> MemoryStep:
        values = json.loads(text)
        return cls(**{**values, "sizes": Sizes(**values["sizes"])})


def measure_in_a_process(step: MemoryStep) -> dict[str, float]:
    """Return what `measure_here` does.

    Raises:
        RuntimeError: the process failed; the message ends with what it said.
    """
    result: dict[str, float] = answer_of(__name__, step.to_json())
    return result


def measure_here(step: MemoryStep) -> dict[str, float]:
    """Measure in this process, which should have done nothing before.

    Returns: `loss` in nats, and `peak_mib`: resident memory beyond that before the step, gradients included.
    """
    sizes = step.sizes
    torch.manual_seed(0)
    config = ModernBertConfig(
        vocab_size=sizes.vocab, hidden_size=sizes.width, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=2 * sizes.width, max_position_embeddings=2 * sizes.length, pad_token_id=0, bos_token_id=None,
        eos_token_id=None, cls_token_id=None, sep_token_id=None, layer_types=["full_attention"] * 2,
    )  # fmt: skip
    rows = [
        {"input_ids": ids, "prompt_length": 0, "example_id": number}
        for number, ids in enumerate(torch.randint(_LEAST_ID, sizes.vocab, (sizes.rows, sizes.length)).tolist())
    ]
    with tempfile.TemporaryDirectory() as folder:
        options = with_density(step.options, folder)
        if not METHODS[options["method"]].keeps_pool:  # which draws no times
            options = {**options, "timestep_distribution": "low_discrepancy"}
        args = LiftConfig(
            output_dir=folder, per_device_train_batch_size=sizes.rows, max_length=sizes.length, use_cpu=True,
            save_strategy="no", report_to="none", disable_tqdm=True, **options,
        )  # fmt: skip
        trainer = LiftTrainer(
            ModernBertForMaskedLM(config), args, train_dataset=rows, processing_class=sudoku.build_tokenizer()
        )
    inputs = trainer.data_collator(rows)
    with torch.no_grad():  # libraries load and pools open before the measurement
        trainer.model.model(inputs["input_ids"][:, :8])

    def run() -> float:
        loss = _loss_by_logits(trainer, inputs) if step.by_logits else loss_of_step(trainer, inputs, 0)
        loss.backward()
        return float(loss.detach())

    hand_back_freed()
    loss, peak = resident_peak_of(run)
    return {"loss": loss, "peak_mib": peak / MIB}


def _loss_by_logits(trainer: Any, inputs: Any) -> Tensor:
    """Return the loss of the masks that step 0 of sft draws, whose denominator is the tokens that it may mask."""
    (placed,), _ = trainer.get_batch_samples(iter([dict(inputs)]), 1, trainer.args.device)
    batch = trainer.prepare_training_batch(trainer.model, placed, placed["draws"], trainer._seed()).batch
    remove_lift_kernels(trainer.model)
    logits = trainer.model(input_ids=batch.input_ids).logits
    loss: Tensor = logits_loss(logits, batch.labels, batch.token_weight, float(batch.denominator))
    return loss


if __name__ == "__main__":
    wanted = MemoryStep.from_json(sys.argv[1])
    torch.set_num_threads(wanted.threads)
    print(json.dumps(measure_here(wanted)))
