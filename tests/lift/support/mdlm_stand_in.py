"""What the mixins rely on of dLLM 0.1.0's MDLMTrainer and BD3LMTrainer, written from its behaviour: dLLM is on no package index."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from transformers import Trainer, TrainingArguments


class Linear:
    """alpha(t) = 1 - t, the share of tokens not masked."""

    def __call__(self, t):
        return 1 - t

    def slope(self, t):
        return -torch.ones_like(t)

    def weight(self, t):
        return -self.slope(t) / (1 - self(t) + 1e-6)


class Cosine(Linear):
    def __call__(self, t):
        return 1 - torch.cos(math.pi / 2 * (1 - t))

    def slope(self, t):
        return -math.pi / 2 * torch.sin(math.pi / 2 * (1 - t))


class Meter:
    """A weighted mean for each split, as torchmetrics' MeanMetric keeps it."""

    def __init__(self):
        self.sums = {"train": torch.zeros(2), "eval": torch.zeros(2)}

    def update(self, split, value, weight):
        value, weight = torch.broadcast_tensors(value.float(), weight.float())
        self.sums[split] += torch.stack([(value * weight).sum(), weight.sum()])

    def mean(self, split):
        total, weight = self.sums[split]
        return (total / weight).item()


@dataclass
class MDLMConfig(TrainingArguments):
    time_epsilon: float = 1e-3
    loss_weight_type: str = "scheduler"
    loss_norm_type: str = "token"
    right_shift_logits: bool = False
    learning_rate: float = 2e-5


class MDLMTrainer(Trainer):
    def __init__(self, args, scheduler=None, *pargs, **kwargs):
        super().__init__(args=args, *pargs, **kwargs)  # noqa: B026 (as dLLM calls it)
        self.scheduler = Linear() if scheduler is None else scheduler
        self.right_shift_logits = args.right_shift_logits
        self.loss_weight_type = args.loss_weight_type
        self.meter = Meter()

    def _preprocess_inputs(self, inputs):
        return inputs  # with right_shift_logits it may put a BOS in front

    def _compute_loss_weights(self, t, inputs, *args, **kwargs):
        if self.loss_weight_type == "scheduler":
            return self.scheduler.weight(t).unsqueeze(1).repeat(1, inputs["input_ids"].shape[1])
        assert self.loss_weight_type == "uniform"
        return torch.ones_like(inputs["input_ids"])

    def compute_loss(self, *args, **kwargs):
        raise AssertionError("the mixin stands before this class and takes its place")


@dataclass
class BD3LMConfig(MDLMConfig):
    block_size: int = 32


class BD3LMTrainer(MDLMTrainer):
    def __init__(self, args, *pargs, **kwargs):
        super().__init__(args=args, *pargs, **kwargs)  # noqa: B026
        self.block_size = args.block_size
