"""The settings of a sampler: names, ranges and defaults, and what does not fit together."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from lift.errors import LiftError
from lift.fields import check_fields, option

PROBABILITY = "(0, 1]"


@dataclass(frozen=True)
class SamplingConfig:
    """How `lift.generate` decodes; the defaults are greedy decoding of one block, one token a step.

    `lift.sampling.preset(name)` returns the settings of a published sampler. The fields under "published variants" are
    off unless a preset or `reference_quirks` needs them.
    """

    gen_length: int | None = option(None, "Response length in tokens; needed unless infill.", within="[1, inf)")
    block_length: int | None = option(None, "Tokens a block; by default one block.", within="[1, inf)")
    steps: int | None = option(None, "Forward passes in all; by default one a token.", within="[1, inf)")
    temperature: float = option(0.0, "Of the tokens: 0 takes the most likely one.", within="[0, inf)")
    top_k: int | None = option(None, "Draw from the k most likely tokens.", within="[1, inf)")
    top_p: float | None = option(None, "Draw from the fewest tokens that hold this probability.", within=PROBABILITY)
    remasking: Literal["low_confidence", "margin", "entropy", "random", "left_to_right"] = option(
        "low_confidence", "What is committed first: the highest probability, lead over the runner-up, or negative "
        "entropy, whatever chance says, or the leftmost.",
    )  # fmt: skip
    score_temperature: bool = option(False, "Score by the tempered and filtered probabilities, not the model's own.")
    position_temperature: float = option(0.0, "Draw positions by softmax(score / this).", within="[0, inf)")
    schedule: Literal["even", "linear", "cosine", "dream", "bernoulli", "carry"] = option(
        "even", "How many tokens a step commits: alike in each; by the masked share of a linear or cosine diffusion; "
        "Dream's, by floor or by chance; or evenly, with what the threshold rejects carried on.",
    )  # fmt: skip
    eps: float = option(1e-3, "Diffusion time at which Dream's schedules end.", within="(0, 1)")
    threshold: float | None = option(None, "Commit every token whose score reaches this.", within="[0, 1]")
    factor: float | None = option(None, "Commit the n best while score n >= 1 - factor / (n + 1).", within="(0, inf)")
    quota_first: bool = option(False, "Use the threshold only where it commits at least the schedule's number.")
    repetition_penalty: float = option(
        1.0, "Divide the positive logits of tokens that the row holds already by this, and multiply the others.",
        within="(0, inf)",
    )  # fmt: skip
    guidance_scale: float = option(0.0, "Classifier-free guidance w: z_u + (w + 1)(z_c - z_u).", within="[0, inf)")
    unconditional_keep_ids: tuple[int, ...] = option((), "Tokens that guidance does not mask.")
    suppress_ids: tuple[int, ...] = option((), "Tokens that are never committed.")
    suppress_score_ids: tuple[int, ...] = option((), "Tokens that are committed last: their score is 0.")
    eos: Literal["keep", "suppress", "last"] = option(
        "keep", "Short form: put stop_ids among suppress_ids or suppress_score_ids."
    )
    attention: Literal["full", "block_causal"] = option(
        "full", "What a position sees: all, or no later block, as by default in a model trained in blocks."
    )
    cache: Literal["prefix", "dual"] | None = option(
        None, "Keys and values kept within a block: those before it, or all others (approximate with full attention); "
        "with block_causal attention 'prefix' keeps finished blocks, exactly, and a model trained in blocks has it by "
        "default in lift sample and lift eval, where its code can.",
    )  # fmt: skip
    editing_threshold: float | None = option(None, "Overwrite committed tokens above this score.", within="[0, 1]")
    max_post_steps: int = option(16, "Most editing steps of a block without masks.", within="[0, inf)")
    shift: Literal["repeat", "zeros", "none"] | None = option(
        None, "Read a token one position before, and the first one there, or from logits of 0; by default as the "
        "model's family does.",
    )  # fmt: skip
    stop_ids: tuple[int, ...] = option((), "Tokens that end a response: the tokenizer's end tokens.")
    early_stop: bool = option(True, "End a row whose text up to its first stop id is complete; pad the rest.")
    infill: bool = option(False, "Fill the masks in the given text instead of writing behind it.")
    mask_token: Literal["never", "commit"] = option(
        "never", "Take the mask token out of the softmax, or commit it where it wins, as published code does."
    )
    seed: int = option(0, "Of all draws; together with row id and position it names each.")

    # Published variants.
    steps_per_block: int | None = option(None, "Steps of each block, in place of steps.", within="[1, inf)")
    uneven: Literal["refuse", "floor", "ceil"] = option(
        "refuse", "Where steps do not divide by blocks: an error, or that many steps a block; but for 'refuse' the "
        "last block may be short.",
    )  # fmt: skip
    quota_of: Literal["masks", "block"] = option("masks", "Share out the masks of a block, or its length.")
    minimal_topk: int | None = option(None, "At most gen_length // this steps a block.", within="[1, inf)")
    num_to_transfer: int | None = option(None, "Tokens a step, in place of a schedule.", within="[1, inf)")
    filter_order: Literal["top_k_first", "top_p_first"] = option(
        "top_k_first", "top_p_first filters at temperature 0 too, which matters to score_temperature."
    )
    factor_rule: Literal["prefix", "prefix_or_last", "count"] = option(
        "prefix", "Commit up to the first that fails; also the last one of all; or as many as pass."
    )
    block_origin: Literal["answer", "start"] = option(
        "answer",
        "Where blocks are counted from: the answer's first token, or the row's, as in most models trained in blocks.",
    )
    stop_at: Literal["token", "block", "batch"] = option(
        "token", "Look for stop ids after each step, after each block, or after each block in all rows."
    )
    leftover: Literal["commit", "continue", "leave"] = option(
        "commit", "Masks left after a block's steps: committed by the last step, served by more steps, or left."
    )
    earlier_masks: bool = option(False, "Serve masks before the block too, from its quota.")
    idle_steps: bool = option(False, "Run every step of the schedule, those that commit nothing too.")
    batch_quota: bool = option(False, "Dream's number from the mean over the batch.")
    second_forward: bool = option(False, "With a cache, run a second forward of a block that the first completed.")
    store_last_block: bool = option(False, "Run the forward that stores a finished block when it is finished.")
    pad_after_stop: bool = option(True, "Replace what follows a stop id by padding.")
    stop_needs_commit: bool = option(False, "Look for stop ids only where a step committed one.")

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(field.default, tuple) and not isinstance(value, tuple):
                object.__setattr__(self, field.name, tuple(int(token) for token in value))
        check_fields(self, SamplingConfig)
        if self.threshold is not None and self.factor is not None:
            raise LiftError("generate: threshold and factor exclude each other: leave one out.")
        if (self.threshold, self.factor) != (None, None) and self.remasking in ("entropy", "left_to_right"):
            raise LiftError(
                f"generate: threshold and factor are probabilities, which remasking={self.remasking!r} has not: use "
                "low_confidence or margin."
            )
        if self.quota_first and self.threshold is None:
            raise LiftError("generate: quota_first says when the threshold is used: set threshold.")
        if self.schedule == "carry" and self.threshold is None:
            raise LiftError("generate: schedule='carry' carries what the threshold rejects: set threshold.")
        if self.attention == "block_causal" and self.cache == "dual":
            raise LiftError("generate: cache='dual' needs attention='full'; block_causal has the exact 'prefix'.")
        if self.editing_threshold is not None and self.attention == "full":
            raise LiftError("generate: editing_threshold needs attention='block_causal'.")
        if self.infill and (self.cache or self.attention == "block_causal"):
            raise LiftError("generate: infill needs attention='full' and no cache, as text stands behind the masks.")

    def changed(self, **options: Any) -> SamplingConfig:
        """Return these settings with some replaced.

        Raises: LiftError for a name that is no setting, or a value that does not fit.
        """
        known = {field.name for field in dataclasses.fields(self)}
        unknown = sorted(set(options) - known)
        if unknown:
            raise LiftError(f"generate: {unknown[0]!r} is no setting of SamplingConfig: {', '.join(sorted(known))}.")
        return dataclasses.replace(self, **options)

    @property
    def draws(self) -> bool:
        """Whether chance decides, so that two answers to a prompt can differ."""
        by_chance = self.remasking == "random" or self.schedule == "bernoulli"
        return self.temperature > 0 or self.position_temperature > 0 or by_chance

    @property
    def suppressed(self) -> tuple[int, ...]:
        """Ids that have no probability, besides the mask token."""
        return self.suppress_ids + (self.stop_ids if self.eos == "suppress" else ())

    @property
    def suppressed_in_score(self) -> tuple[int, ...]:
        """Ids whose score is 0."""
        return self.suppress_score_ids + (self.stop_ids if self.eos == "last" else ())
