"""`LiftOptions`: one field for each choice of the algorithm, and which of them go together."""

from __future__ import annotations

from dataclasses import dataclass, field

from lift.errors import LiftError
from lift.learnability import SCORE_SOURCES
from lift.objectives import METHODS, MODE_POLICIES, MODE_SCOPES, Quirks, complementary_problem
from lift.objectives.forward_process import EVALUATION_GRIDS, TIME_DISTRIBUTIONS
from lift.objectives.normalizers import NORMALIZERS

_CHOICES = {
    "method": METHODS,
    "mode_policy": MODE_POLICIES,
    "mode_scope": MODE_SCOPES,
    "learnability": ("hard", "soft"),
    "score_source": SCORE_SOURCES,
    "timestep_distribution": TIME_DISTRIBUTIONS,
    "loss_normalizer": NORMALIZERS,
    "middle_select": ("exact", "unordered"),
    "score_dtype": ("float32", "logits"),
    "gift_fallback": ("none", "collator"),
    "eval_grid": EVALUATION_GRIDS,
    "eval_loss": ("sft", "train"),
    "shift_first": ("exclude", "zeros"),
}
_OBJECTIVE_QUIRKS = (
    "mode_scope",
    "middle_select",
    "score_dtype",
    "gift_unsafe_div",
    "gift_fallback",
    "eval_grid",
    "lift_ignores_shift",
    "shift_first",
)
_PUBLISHED = {name: getattr(Quirks.published(), name) for name in _OBJECTIVE_QUIRKS} | {
    "score_train_mode": True,
    "loss_normalizer": "micro_batch",
    "eval_loss": "train",
    "eval_reseed": False,
}


@dataclass
class LiftOptions:
    """LIFT's own choices; the defaults are the published recipe's. Whoever takes them calls `resolve_options`.

    A base of its own, so that `class Config(LiftOptions, SomeTrainingArguments)` adds them to another trainer's.
    """

    method: str = field(default="lift3", metadata={"help": f"What to train on: {', '.join(METHODS)}."})
    mode_policy: str = field(
        default="time",
        metadata={"help": "How each row's mode (easy, middle, hard) is chosen: by its time t, or at random."},
    )
    mode_scope: str = field(
        default="row",
        metadata={"help": "Choose a mode for each row, or one for the micro-batch by its mean t (batch)."},
    )
    min_keep: int | None = field(
        default=None,
        metadata={"help": "Least number of tokens a row keeps; by default 1 in middle rows, 0 in easy and hard ones."},
    )
    one_forward: bool = field(
        default=False,
        metadata={"help": "Score and train in one forward at rate t + rho: easy and hard rows are not put back."},
    )
    learnability: str = field(
        default="hard", metadata={"help": "With one_forward: keep tokens (hard), or weight all masked ones (soft)."}
    )
    soft_temperature: float = field(default=1.0, metadata={"help": "Temperature of soft learnability, above 0."})
    complementary: bool = field(
        default=False,
        metadata={"help": "Train middle rows on a second view too, which masks exactly what the first does not."},
    )
    score_source: str = field(
        default="model",
        metadata={
            "help": f"Where the log-probabilities that selection ranks by come from: {', '.join(SCORE_SOURCES)}."
        },
    )
    score_decay: float = field(
        default=0.5, metadata={"help": "Weight of the old value in the running score of score_source=cache, in [0, 1)."}
    )
    time_scaling: bool = field(
        default=True, metadata={"help": "Weight each trained token by 1/t (lift2 and lift3; the others always do)."}
    )
    timestep_distribution: str = field(
        default="uniform",
        metadata={
            "help": f"Distribution of t: {', '.join(TIME_DISTRIBUTIONS)}. low_discrepancy and antithetic spread the "
            "times of each optimiser step evenly over all its rows."
        },
    )
    fixed_timestep: float | None = field(
        default=None, metadata={"help": "The time of timestep_distribution=fixed, in (0, 1]."}
    )
    time_epsilon: float = field(default=1e-3, metadata={"help": "Lowest diffusion time t, in (0, 1)."})
    min_rho: float = field(default=0.1, metadata={"help": "Lowest over-mask rate rho, in [0, 1)."})
    max_rho: float = field(default=1.0, metadata={"help": "Highest over-mask rate rho, in (0, 1]; at most 1 - t."})
    cart_p: float = field(default=0.1, metadata={"help": "CART's decay with the distance of context, in (0, 1)."})
    pad_in_loss: bool = field(
        default=True,
        metadata={
            "help": "Mask, attend to and train pad tokens, as LLaDA does, so that the model learns to stop. If False, "
            "LLaDA still attends to them, as its code ignores attention masks."
        },
    )
    loss_normalizer: str = field(
        default="token", metadata={"help": f"What the loss of a step is divided by: {', '.join(NORMALIZERS)}."}
    )
    loss_denominator: float | None = field(
        default=None, metadata={"help": "Divide the loss of a step by this number instead; above 0."}
    )
    middle_select: str = field(
        default="exact",
        metadata={"help": "Choose middle rows' tokens exactly, or as the published code does (unordered)."},
    )
    score_train_mode: bool = field(default=False, metadata={"help": "Leave dropout on while scoring."})
    score_dtype: str = field(
        default="float32",
        metadata={"help": "Rank by float32 scores, or by scores rounded to the dtype of the model's logits (logits)."},
    )
    gift_unsafe_div: bool = field(default=False, metadata={"help": "GIFT divides by rates of 0 too, giving nan."})
    gift_fallback: str = field(
        default="none",
        metadata={"help": "What GIFT trains where it draws nothing: none, or a plain mask at rate t (collator)."},
    )
    eval_grid: str = field(
        default="midpoints", metadata={"help": f"Times of the evaluation rows: {', '.join(EVALUATION_GRIDS)}."}
    )
    eval_loss: str = field(
        default="sft", metadata={"help": "Evaluate by the plain SFT loss, or by the method's own (train)."}
    )
    eval_reseed: bool = field(
        default=True, metadata={"help": "Draw the same masks at every evaluation; False draws new ones."}
    )
    lift_ignores_shift: bool = field(
        default=False,
        metadata={
            "help": "Of models that predict the next token (Dream): the methods that select tokens take the hidden "
            "state of a position for the prediction of that position itself, as in the published code."
        },
    )
    shift_first: str = field(
        default="exclude",
        metadata={
            "help": "Of such models: never mask the first position (exclude), or give it all-zero logits (zeros)."
        },
    )
    reference_quirks: bool = field(
        default=False,
        metadata={
            "help": "Reproduce the published code where it differs: mode_scope, middle_select, score_train_mode, "
            "score_dtype, loss_normalizer, complementary masks, gift_*, eval_*, lift_ignores_shift, shift_first."
        },
    )
    mask_token_id: int | None = field(
        default=None, metadata={"help": "Id of the mask token; by default the tokenizer's."}
    )

    def resolve_options(self) -> None:
        """Set what `reference_quirks` implies, and check.

        Raises:
            LiftError: a field is outside its range; the sentence names it.
        """
        if self.reference_quirks:
            for name, value in _PUBLISHED.items():
                setattr(self, name, value)
        for name, choices in _CHOICES.items():
            check_choice(name, getattr(self, name), choices)
        check_range("time_epsilon", self.time_epsilon, 0 < self.time_epsilon < 1, "between 0 and 1, both excluded")
        check_range("min_rho", self.min_rho, 0 <= self.min_rho < 1, "at least 0 and below 1")
        check_range("max_rho", self.max_rho, 0 < self.max_rho <= 1, "above 0 and at most 1")
        check_range("cart_p", self.cart_p, 0 < self.cart_p < 1, "between 0 and 1, both excluded")
        check_range("score_decay", self.score_decay, 0 <= self.score_decay < 1, "at least 0 and below 1")
        check_range("soft_temperature", self.soft_temperature, self.soft_temperature > 0, "above 0")
        if self.min_keep is not None:
            check_range("min_keep", self.min_keep, self.min_keep >= 0, "at least 0")
        if self.loss_denominator is not None:
            check_range("loss_denominator", self.loss_denominator, self.loss_denominator > 0, "above 0")
        self._check_combinations()

    def _check_combinations(self) -> None:
        has_modes = self.method not in ("sft", "gift", "cart")
        if (self.fixed_timestep is not None) != (self.timestep_distribution == "fixed"):
            raise LiftError("fixed_timestep and timestep_distribution=fixed belong together: set both or neither.")
        if self.fixed_timestep is not None:
            check_range("fixed_timestep", self.fixed_timestep, 0 < self.fixed_timestep <= 1, "above 0 and at most 1")
        if self.one_forward and not has_modes:
            raise LiftError(f"one_forward belongs to the methods that select tokens, got method={self.method!r}.")
        if self.learnability == "soft" and not self.one_forward:
            raise LiftError("learnability=soft belongs to one_forward: set one_forward=True, or learnability=hard.")
        if self.one_forward and self.shift_first == "zeros" and not self.lift_ignores_shift:
            raise LiftError("shift_first=zeros has no one_forward form: use shift_first=exclude.")
        if self.score_source != "model" and (not has_modes or self.one_forward):
            raise LiftError(
                f"score_source={self.score_source} replaces the scoring forward, which method={self.method!r}"
                f"{' with one_forward' if self.one_forward else ''} does not have: use score_source=model."
            )
        if self.complementary and (problem := complementary_problem(self.method)):
            raise LiftError(problem)
        if self.complementary and self.one_forward:
            raise LiftError("complementary masks need a forward of their own: set one_forward=False.")


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise LiftError(f"{name} must be one of {', '.join(choices)}, got {value!r}.")


def check_range(name: str, value: float, is_inside: bool, wanted: str) -> None:
    if not is_inside:
        raise LiftError(f"{name} must be {wanted}, got {value}.")
