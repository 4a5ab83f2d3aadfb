"""Training runs that must end alike in one process and in several; a program too, for launchers to start."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from accelerate import PartialState
from safetensors.torch import load_file
from torch.distributed.tensor import DTensor
from torch.utils.data import SequentialSampler
from transformers import BertConfig, BertForMaskedLM

from lift import LiftTrainer
from lift.models.transformers_versions import keeps_packed_examples_apart
from lift.tasks import sudoku
from tests.lift.support.tiny import tiny_config, tiny_model, uneven_rows

ROWS_PER_STEP = 4  # by one micro-batch, over all processes


def rows_where_half_a_step_has_no_token() -> list[dict]:
    """Of each 4 rows, the last 2 (those of the second process) are prompt alone in every other step."""
    rows = uneven_rows(16)
    for row in rows:
        if row["example_id"] % 8 in (2, 3):
            row["prompt_length"] = len(row["input_ids"])
    return rows


SCENARIOS = {
    "lift3": {},
    "accumulated": {"gradient_accumulation_steps": 2, "loss_normalizer": "sequence"},
    "uneven": {"gradient_accumulation_steps": 2, "max_steps": -1, "num_train_epochs": 2},
    "uneven batches": {"max_steps": -1, "num_train_epochs": 2, "loss_normalizer": "batch", "learning_rate": 0.01},
    "unmasked": {},
    "clipped": {"max_grad_norm": 0.1},
    "evaluated first": {},
    "bert": {},
    "one forward": {"one_forward": True, "learnability": "soft"},
    "complementary": {"complementary": True},
    "cache": {"method": "lift2", "score_source": "cache"},
    "padded": {"gradient_accumulation_steps": 2, "max_steps": -1, "num_train_epochs": 2, "pad_in_loss": True},
    "gift": {"gradient_accumulation_steps": 2, "method": "gift", "pad_in_loss": True},
    "puma": {
        "gradient_accumulation_steps": 2, "method": "puma", "timestep_distribution": "uniform", "save_strategy": "steps",
        "save_steps": 3,
    },
    "resumable": {
        "max_steps": 6, "save_strategy": "steps", "save_steps": 3, "optim": "adamw_torch", "learning_rate": 1e-2,
        "weight_decay": 0.1, "max_grad_norm": 0.5,
    },
}  # fmt: skip
if keeps_packed_examples_apart():  # ModernBERT then obeys a mask of pairs of tokens
    SCENARIOS["blocks"] = {"attention": "block", "block_size": 4, "gradient_accumulation_steps": 2}
    SCENARIOS["packed blocks"] = {"attention": "block", "block_size": 4, "packing": True, "max_length": 32}
ROWS = {
    "uneven": lambda: uneven_rows(21),
    "padded": lambda: uneven_rows(21),
    "uneven batches": lambda: uneven_rows(19),
    "unmasked": rows_where_half_a_step_has_no_token,
}


def tiny_bert() -> BertForMaskedLM:
    """Its head ties the weight to the embedding and the bias to a parameter beside the head."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=8, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=64, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    return BertForMaskedLM(config)


def placement(parameter: torch.nn.Parameter) -> str:
    """Where a parameter lies between two steps."""
    if isinstance(parameter, DTensor):
        return str(parameter.placements)
    if hasattr(parameter, "ds_status"):
        return str(parameter.ds_status)
    return type(parameter).__name__


class WatchedTrainer(LiftTrainer):
    """Takes rows in their order and remembers what its process did."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.seen: dict[str, list] = {"orders": [], "num_labels": [], "placements": []}

    def _get_train_sampler(self, *args):
        return SequentialSampler(self.train_dataset)

    def training_step(self, model, *args):
        self.seen["placements"] = [placement(p) for p in model.parameters()]
        return super().training_step(model, *args)

    def prepare_training_batch(self, *args, **kwargs):
        prepared = super().prepare_training_batch(*args, **kwargs)
        if prepared.draws.order is not None:
            self.seen["orders"].append(prepared.draws.order.tolist())
        self.seen["num_labels"].append((prepared.batch.labels != -100).sum().item())
        return prepared


def run(name: str, out: Path, *, world: int, dtype: str, checkpoint: str | None = None, **options) -> None:
    """Train one scenario; leave model.safetensors and each process's seen-RANK.json in the folder `out`."""
    defaults = {
        "per_device_train_batch_size": ROWS_PER_STEP // world, "optim": "sgd", "learning_rate": 0.1,
        "max_grad_norm": 0.0, "pad_in_loss": False, "timestep_distribution": "low_discrepancy",
    }  # fmt: skip
    config = tiny_config(out, **(defaults | SCENARIOS[name] | options))
    if config.deepspeed_plugin is not None:  # which by default leaves such small parameters whole
        config.deepspeed_plugin.deepspeed_config["zero_optimization"]["stage3_param_persistence_threshold"] = 0
    model = (tiny_bert() if name == "bert" else tiny_model()).to(getattr(torch, dtype))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(10 if parameter.dim() > 1 else 1)  # else scores differ by little more than their rounding
    trainer = WatchedTrainer(
        model=model,
        args=config,
        train_dataset=ROWS.get(name, uneven_rows)(),
        eval_dataset=uneven_rows(7),
        processing_class=sudoku.build_tokenizer(),
    )
    if name == "evaluated first":
        if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
            trainer.args.eval_on_start = True  # their wrappers come with the training
        else:
            trainer.evaluate()
    trainer.train(resume_from_checkpoint=checkpoint)
    if name == "padded":
        trainer.seen["eval_loss"] = [trainer.evaluate()["eval_loss"]]
    trainer.save_model()
    (out / f"seen-{trainer.args.process_index}.json").write_text(json.dumps(trainer.seen))


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / "model.safetensors")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--world", type=int, required=True)
    parser.add_argument("--dtype", default="float64")
    parser.add_argument("--scenarios", nargs="*", default=list(SCENARIOS))
    parser.add_argument("--resume", help="a checkpoint of the resumable scenario to go on from, too")
    arguments = parser.parse_args()
    common = {"world": arguments.world, "dtype": arguments.dtype}
    for name in arguments.scenarios:
        run(name, arguments.out / name, **common)
    if arguments.resume:
        run("resumable", arguments.out / "resumed", **common, checkpoint=arguments.resume)
    PartialState().destroy_process_group()


if __name__ == "__main__":
    main()
