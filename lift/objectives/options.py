"""`LiftOptions`: one field for each choice of the algorithm, and which of them go together."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

from lift.errors import LiftError
from lift.fields import check_choice, check_fields, check_range, option
from lift.objectives.block_options import BlockOptions
from lift.objectives.choices import (
    EvaluationGrid,
    Learnability,
    ModePolicy,
    ModeScope,
    Normalizer,
    ScoreSourceName,
    TimeDistribution,
)
from lift.objectives.density_options import DensityOptions
from lift.objectives.methods import METHODS, complementary_problem
from lift.objectives.noise_options import NoiseOptions, check_noise_options


@dataclass
class LiftOptions(NoiseOptions, DensityOptions, BlockOptions):
    """LIFT's own choices, and those of noise, measured times and blocks; the defaults are the published recipe's.

    Whoever takes them calls `resolve_options`.

    A base of its own, so that `class Config(LiftOptions, SomeTrainingArguments)` adds them to another trainer's.
    """

    method: str = option("lift3", f"What to train on: {', '.join(METHODS)}.")
    mode_policy: ModePolicy = option(
        "time", "How each row's mode (easy, middle, hard) is chosen: by its time t, or at random."
    )
    mode_scope: ModeScope = option(
        "row",
        "Choose a mode for each row, or one for the micro-batch by its mean t (batch).",
        published="batch",
    )
    min_keep: int | None = option(
        None,
        "Least number of tokens a row keeps; by default 1 in middle rows, 0 in easy and hard ones.",
        within="[0, inf)",
    )
    one_forward: bool = option(
        False, "Score and train in one forward at rate t + rho: easy and hard rows are not put back."
    )
    learnability: Learnability = option(
        "hard", "With one_forward: keep tokens (hard), or weight all masked ones (soft)."
    )
    soft_temperature: float = option(1.0, "Temperature of soft learnability, above 0.", within="(0, inf)")
    complementary: bool = option(
        False,
        "Train each row whose mask is random (of the methods that select tokens: middle rows) on a second view too, "
        "which masks exactly what the first does not.",
    )
    score_source: ScoreSourceName = option(
        "model", "Where the log-probabilities that selection ranks by come from: the model, a cache, or frequencies."
    )
    score_decay: float = option(
        0.5, "Weight of the old value in the running score of score_source=cache, in [0, 1).", within="[0, 1)"
    )
    time_scaling: bool = option(
        True, "Weight each trained token by 1/t; cart, gift, blockwise and puma have weights of their own."
    )
    timestep_distribution: TimeDistribution = option(
        "uniform",
        "Distribution of t. low_discrepancy and antithetic spread the times of each optimiser step evenly over all its "
        "rows.",
    )
    fixed_timestep: float | None = option(None, "The time of timestep_distribution=fixed, in (0, 1].", within="(0, 1]")
    time_epsilon: float = option(1e-3, "Lowest diffusion time t, in (0, 1).", within="(0, 1)")
    time_range: list[float] | None = option(
        None,
        "Lowest and highest diffusion time t, in (0, 1], such as 0.3 0.8, in place of time_epsilon and 1. "
        "Evaluation goes over all times.",
    )
    min_rho: float = option(0.1, "Lowest over-mask rate rho, in [0, 1).", within="[0, 1)")
    max_rho: float = option(1.0, "Highest over-mask rate rho, in (0, 1]; at most 1 - t.", within="(0, 1]")
    cart_p: float = option(0.1, "CART's decay with the distance of context, in (0, 1).", within="(0, 1)")
    confidence_beta: float = option(
        2.0, "Weight of the entropy of the tokens that the model has right, of method=confidence.", within="[0, inf)"
    )
    answer_block: int = option(32, "Tokens of a block of the answer, of method=blockwise.", within="[1, inf)")
    puma_phases: int = option(
        8, "Steps for which method=puma trains a row before another takes its place.", within="[1, inf)"
    )
    puma_threshold: float | None = option(
        None,
        "With method=puma, also put back every token that the model predicts with a probability above this, such as "
        "0.9: rows then leave sooner.",
        within="(0, 1)",
    )
    pad_in_loss: bool = option(
        True,
        "Mask, attend to and train pad tokens, as LLaDA does, so that the model learns to stop. If False, LLaDA still "
        "attends to them, as its code ignores attention masks.",
    )
    loss_normalizer: Normalizer = option(
        "token",
        "What the loss of a step is divided by: the tokens that may be masked; each row's own such tokens, then the "
        "rows (sequence); the rows (batch); or, micro-batch by micro-batch, the tokens that may be masked, or that are "
        "trained.",
        published="micro_batch",
    )
    loss_denominator: float | None = option(
        None, "Divide the loss of a step by this number instead; above 0.", within="(0, inf)"
    )
    middle_select: Literal["exact", "unordered"] = option(
        "exact",
        "Choose middle rows' tokens exactly, or the first of a list of the largest in no order.",
        published="unordered",
    )
    score_train_mode: bool = option(False, "Leave dropout on while scoring.", published=True)
    score_dtype: Literal["float32", "logits"] = option(
        "float32",
        "Rank by float32 scores, or by scores rounded to the dtype of the model's logits.",
        published="logits",
    )
    gift_unsafe_div: bool = option(False, "GIFT divides by rates of 0 too, giving nan.", published=True)
    gift_fallback: Literal["none", "collator"] = option(
        "none",
        "What GIFT trains where it draws nothing: nothing, or a plain mask at rate t.",
        published="collator",
    )
    eval_grid: EvaluationGrid = option(
        "midpoints",
        "Times of the evaluation rows: in the middle of equal parts, or at their ends, the first near 0.",
        published="linspace",
    )
    eval_loss: Literal["sft", "train"] = option(
        "sft", "Evaluate by the plain SFT loss, or by the method's own; over the whole set.", published="train"
    )
    eval_reseed: bool = option(True, "Draw the same masks at every evaluation; False draws new ones.", published=False)
    lift_ignores_shift: bool = option(
        False,
        "Of models that predict the next token (Dream): the methods that select tokens take the hidden state of a "
        "position for the prediction of that position itself.",
        published=True,
    )
    shift_first: Literal["exclude", "zeros"] = option(
        "exclude",
        "Of such models: never mask the first position, or give it all-zero logits.",
        published="zeros",
    )
    reference_quirks: bool = option(
        False,
        "Reproduce the published code where it differs: in complementary masks, and in each field whose help says so.",
    )
    exclude_mask_token: bool = option(
        False, "Give the mask token no probability in the loss, as models of the SUBS parametrisation do."
    )
    mask_token_id: int | None = option(
        None, "Id of the mask token; by default the model's, or the tokenizer's.", within="[0, inf)"
    )

    def resolve_options(self) -> None:
        """Set what `reference_quirks` implies, and check.

        Raises:
            LiftError: a field is outside its range, or two do not go together; the sentence names them.
        """
        if self.reference_quirks:
            for name, value in PUBLISHED.items():
                setattr(self, name, value)
        check_choice("method", self.method, METHODS)
        check_fields(self, LiftOptions)
        check_fields(self, NoiseOptions)
        self.check_block_options()
        check_noise_options(self)
        self._check_combinations()

    def _check_combinations(self) -> None:
        if self.time_range is not None:
            if len(self.time_range) != 2:
                raise LiftError(
                    f"time_range takes the lowest and the highest time, got {len(self.time_range)} numbers."
                )
            for time in self.time_range:
                check_range("time_range", time, "(0, 1]")
            if self.time_range[0] > self.time_range[1]:
                raise LiftError("time_range must begin with the lowest time, got {} and {}.".format(*self.time_range))
        selects_tokens = METHODS[self.method].selects_tokens
        if (self.fixed_timestep is not None) != (self.timestep_distribution == "fixed"):
            raise LiftError("fixed_timestep and timestep_distribution=fixed belong together: set both or neither.")
        self.check_density(self.method, self.timestep_distribution, self.time_range or (self.time_epsilon, 1.0))
        if self.time_density is not None:
            self._check_is_weighted_sum()
        if METHODS[self.method].keeps_pool:
            for name, none in (("timestep_distribution", "uniform"), ("time_range", None), ("time_scope", "block")):
                if (value := getattr(self, name)) != none:
                    raise LiftError(
                        f"{name}={value} draws times, and method={self.method!r} goes by phases: leave it out."
                    )
        if self.one_forward and not selects_tokens:
            raise LiftError(f"one_forward belongs to the methods that select tokens, got method={self.method!r}.")
        if self.learnability == "soft" and not self.one_forward:
            raise LiftError("learnability=soft belongs to one_forward: set one_forward=True, or learnability=hard.")
        if self.one_forward and self.shift_first == "zeros" and not self.lift_ignores_shift:
            raise LiftError("shift_first=zeros has no one_forward form: use shift_first=exclude.")
        if METHODS[self.method].ranks_by_margin and (self.one_forward or self.score_source != "model"):
            raise LiftError(
                f"method={self.method!r} asks the model for two predictions of each token: set one_forward=False and "
                "score_source=model."
            )
        if self.score_source != "model" and (not selects_tokens or self.one_forward):
            raise LiftError(
                f"score_source={self.score_source} replaces the scoring forward, which method={self.method!r}"
                f"{' with one_forward' if self.one_forward else ''} does not have: use score_source=model."
            )
        if self.complementary and (problem := complementary_problem(self.method)):
            raise LiftError(problem)
        if self.loss_normalizer == "trained" and self.one_forward:
            raise LiftError(
                "loss_normalizer=trained counts tokens before the forward, in which one_forward chooses them: use "
                "loss_normalizer=micro_batch, or one_forward=False."
            )
        if self.complementary and self.one_forward:
            raise LiftError("complementary masks need a forward of their own: set one_forward=False.")

    def _check_is_weighted_sum(self) -> None:
        """Refuse what makes a row's loss depend on other times than its own, which its weight does not correct."""
        if self.loss_normalizer == "trained":
            raise LiftError(
                "loss_normalizer=trained divides by a number that depends on the times, which the weights of "
                "time_density do not correct: use loss_normalizer=micro_batch, or leave time_density out."
            )
        if self.mode_scope == "batch" and self.mode_policy == "time" and len(METHODS[self.method].modes) > 1:
            raise LiftError(
                "mode_scope=batch chooses a row's mode by the times of other rows too, which the weights of "
                "time_density do not correct: use mode_scope=row, or leave time_density out."
            )


PUBLISHED = {f.name: f.metadata["published"] for f in dataclasses.fields(LiftOptions) if "published" in f.metadata}
"""What `reference_quirks` sets: the choices of LIFT's published code, by field."""
