"""The answers that `lift sample` is asked for: rows of prompts as tokens, numbered so that no two draws are one."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from lift.cli.answer_file import Name
from lift.data import PromptFrame, encode_prompt
from lift.errors import LiftError
from lift.evaluation.answers import Prompt
from lift.evaluation.loaded_model import LoadedModel
from lift.sampling import SamplingConfig

logger = logging.getLogger(__name__)


class Wanted(NamedTuple):
    """One answer that is wanted."""

    name: Name
    prompt: Prompt


def find_wanted(
    rows: Sequence[Mapping[str, Any]], num_samples: int, loaded: LoadedModel, frame: PromptFrame,
    config: SamplingConfig, source: str | None = None,
) -> Iterator[Wanted]:  # fmt: skip
    """Yield what is wanted; of rows with one prompt, the copies are numbered on, so that their draws differ.

    Args:
        rows: of `read_prompts`.
        num_samples: answers to each row.
        loaded: the model, whose end tokens end an answer where the settings have no others.
        frame: what stands in front of each prompt.
        config: the settings; without gen_length an answer is as long as its prompt.
        source: the file of the rows, "-" for standard input, None of prompts of the command; a sentence names it.

    Raises: LiftError for a prompt that cannot be encoded, or has no mask where infill fills them, or no token to tell
        the length of its answer; the sentence names the row.
    """
    config = config.changed(
        suppress_ids=(*config.suppress_ids, *loaded.unknown_ids),
        stop_ids=config.stop_ids or tuple(sorted(loaded.end_ids)),
    )
    seen: dict[tuple[int, ...], int] = {}
    for row, fields in enumerate(rows):
        where = _name_of(row, len(rows), source)
        ids = tuple(_encode(fields["prompt"], loaded, frame, where, infill=config.infill))
        length = None if config.infill else config.gen_length or _length_of_prompt(ids, where)
        first = seen.get(ids, 0)
        seen[ids] = first + num_samples
        for sample in range(num_samples):
            yield Wanted((row, sample), Prompt(ids, first + sample, config.changed(gen_length=length)))


def _name_of(row: int, num_rows: int, source: str | None) -> str:
    if source is None:
        return "the prompt" if num_rows == 1 else f"--prompt number {row + 1}"
    return f"{'standard input' if source == '-' else source}: row {row} (counted from 0)"


def _encode(prompt: str, loaded: LoadedModel, frame: PromptFrame, where: str, *, infill: bool) -> list[int]:
    """Return the ids of a prompt, with infill its masks too; say so where some characters are lost."""
    tokenizer = loaded.tokenizer
    if infill:
        try:
            ids: list[int] = tokenizer(prompt)["input_ids"]
        except Exception as error:  # the tokenizers library raises nothing narrower
            raise LiftError(f"{where}: the tokenizer cannot encode the text: {error}") from error
        if loaded.mask_token_id not in ids:
            mask = tokenizer.decode([loaded.mask_token_id])
            raise LiftError(
                f"{where}: infill fills the masks of a prompt, and {prompt!r:.80} has no {mask}: write some."
            )
    else:
        ids = encode_prompt(prompt, tokenizer, frame, where)
    if tokenizer.unk_token_id is not None and tokenizer.unk_token_id in ids:
        logger.warning(
            "the tokenizer does not know parts of the prompt %.80r: the model reads %s there",
            prompt,
            tokenizer.unk_token,
        )
    return ids


def _length_of_prompt(ids: Sequence[int], where: str) -> int:
    if not ids:
        raise LiftError(f"{where} is empty, so it says nothing of how long the answer is: pass --gen_length.")
    return len(ids)
