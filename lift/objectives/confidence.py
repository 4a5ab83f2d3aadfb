"""SFT that also asks for certainty: the entropy of tokens that the model has right is a penalty."""

from __future__ import annotations

from lift.objectives import sft
from lift.objectives.micro_batch import MicroBatch, TrainingBatch


def build(rows: MicroBatch) -> TrainingBatch:
    """Make the training batch of `confidence`: that of `sft`, and the weight of the entropy term.

    Many tokens can then be committed at a time when text is generated, as more of them pass a threshold.

    Source: dParallel (arXiv 2509.26488), as published with LLaDA 2.0 (github.com/inclusionAI/dFactory).
    """
    return sft.build(rows)._replace(confidence=rows.options.confidence_beta)
