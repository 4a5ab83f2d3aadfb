"""Which score source a trainer uses in place of its scoring forward, and what it is after a resume."""

from __future__ import annotations

from typing import Any

import numpy as np
from tqdm.auto import tqdm

from lift.data.response_spans import is_response, segments
from lift.learnability import ScoreCache, ScoreSource, TokenFrequency
from lift.training.progress import shows_progress


def score_source_for(trainer: Any, vocab_size: int, pad_token_id: int) -> ScoreSource | None:
    """The source that `trainer.args.score_source` names, or None for the model itself.

    A cache of packed rows remembers a packed row where it would an example: packing never changes.
    """
    args, collator = trainer.args, trainer.data_collator
    if args.score_source == "model":
        return None
    rows = tqdm(trainer.train_dataset, desc="Counting tokens", unit="row", delay=1, disable=not shows_progress(args))
    if args.score_source == "frequency":
        ids: list[Any] = []
        prompt_lengths = []
        for row in rows:
            row_ids = np.asarray(row["input_ids"], dtype=np.int32)
            is_trained = is_response(row)
            for start, end, _ in segments(row):
                part, counts = row_ids[start:end], is_trained[start:end]
                ids.append(np.concatenate([part[~counts], part[counts]]))  # context may stand between responses
                prompt_lengths.append(int((~counts).sum()))
        pad = pad_token_id if args.pad_in_loss else None
        return TokenFrequency.count(ids, vocab_size, prompt_lengths, pad_token_id=pad)
    sizes = [(int(row["example_id"]), len(row["input_ids"])) for row in rows] or [(0, 1)]
    num_examples = 1 + max(example_id for example_id, _ in sizes)
    longest = getattr(collator, "max_length", None) or max(length for _, length in sizes)
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
