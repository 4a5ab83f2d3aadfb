"""Which score source a trainer uses in place of its scoring forward, and what it is after a resume."""

from __future__ import annotations

from typing import Any

from lift.score_sources import ScoreCache, ScoreSource, TokenFrequency


def score_source_for(trainer: Any, vocab_size: int, pad_token_id: int) -> ScoreSource | None:
    """The source that `trainer.args.score_source` names, or None for the model itself."""
    args, rows = trainer.args, trainer.train_dataset
    if args.score_source == "model":
        return None
    if args.score_source == "frequency":
        return TokenFrequency.count(
            [row["input_ids"] for row in rows], vocab_size, [row["prompt_length"] for row in rows],
            pad_token_id=pad_token_id if args.pad_in_loss else None,
        )  # fmt: skip
    num_examples = 1 + max((int(row["example_id"]) for row in rows), default=0)
    collator = trainer.data_collator
    longest = getattr(collator, "max_length", None) or max((len(row["input_ids"]) for row in rows), default=1)
    multiple = getattr(collator, "pad_to_multiple_of", None) or 1
    return ScoreCache(
        num_examples, -(-longest // multiple) * multiple, decay=args.score_decay, rank=args.process_index,
        num_processes=args.world_size,
    )  # fmt: skip


def load_scores(source: ScoreSource, folder: str) -> ScoreSource:
    """`source` as it was when the checkpoint in `folder` was written. A frequency table does not change."""
    if not isinstance(source, ScoreCache):
        return source
    return ScoreCache.load(
        folder, *source.shape, decay=source.decay, rank=source.rank, num_processes=source.num_processes
    )
