"""The table of methods. Adding one: a file in this folder with a function `build`, and a line here.

Nothing else asks for a method by its name: what must be known of it stands in its line.
"""

from __future__ import annotations

from dataclasses import dataclass

EASY, MIDDLE, HARD = 1, 0, -1  # a row's mode: `order` of lift_kernels.select_tokens
MODES = {"easy": EASY, "middle": MIDDLE, "hard": HARD}


@dataclass(frozen=True)
class Method:
    """What the options, the trainer and the integrations must know of a method."""

    summary: str
    """What it trains on, in a line."""

    module: str
    """The file in this folder whose `build` makes its training batches; it is loaded when it is first used."""

    modes: tuple[int, ...] = ()
    """The modes that its rows choose among, first the one that wins ties; none where it trains all that it masks."""

    own_denominator: bool = False
    """It divides its loss by what it counts itself: the tokens that it drew, or rows. Its `maskable` is these."""

    reads_step: bool = False
    """What it draws depends on the whole step: its module has a function `whole_step`."""

    own_weights: bool = False
    """It weights tokens otherwise than by a function of their row's time."""

    reads_row: bool = False
    """What a token counts depends on its whole row, so examples cannot share one."""

    whole_rows: bool = False
    """It cuts rows itself, so that they cannot be given to it in blocks."""

    num_views: int = 1
    """How often each row stands in a batch, every time with another mask."""

    ranks_by_margin: bool = False
    """It ranks tokens by the margin of the model's own prediction, not by the log-probability of the true token."""

    adds_entropy: bool = False
    """Its loss has a term beside the weighted cross-entropy."""

    needs_density: bool = False
    """Its times are drawn by a measured density, which `time_density` must name."""

    keeps_pool: bool = False
    """Its rows stay for several steps in a pool, which a trainer keeps, and each step decides on the next masks."""

    asks_entropy: bool = False
    """It asks the model, in a forward without gradient, how uncertain it is of every row's tokens."""

    @property
    def selects_tokens(self) -> bool:
        """Whether it masks more than it trains: at t + rho, of which it keeps what the row's mode asks for."""
        return bool(self.modes)


METHODS: dict[str, Method] = {
    "sft": Method("every token that is masked, at rate t", "sft"),
    "lift2": Method("the easiest masked tokens where t >= 1/2, else the hardest", "lift", (EASY, HARD)),
    "lift3": Method(
        "the hardest below t = 1/3, a random subset to 2/3, the easiest above", "lift", (MIDDLE, EASY, HARD)
    ),
    "gift": Method(
        "tokens masked the more often, the less certain the model is of them", "gift",
        own_denominator=True, own_weights=True, reads_step=True, asks_entropy=True,
    ),
    "cart": Method(
        "every masked token, the more, the more visible tokens stand near it", "cart", own_weights=True, reads_row=True
    ),
    "ppots": Method("every token that is masked, at times drawn where the loss varies", "sft", needs_density=True),
    "mirror": Method("every token that is masked, in two views that mirror each other", "mirror", num_views=2),
    "blockwise": Method(
        "one block of the response, behind clean tokens and before masks", "blockwise",
        own_denominator=True, own_weights=True, reads_row=True, whole_rows=True,
    ),
    "confidence": Method(
        "every token that is masked, and certainty where the model is right", "confidence", adds_entropy=True
    ),
    "puma": Method(
        "rows kept for several steps; what the model is sure of is filled in", "puma",
        own_denominator=True, own_weights=True, reads_row=True, keeps_pool=True,
    ),
    "margin": Method(
        "the masked tokens whose two likeliest predictions lie closest", "lift", (HARD,), ranks_by_margin=True
    ),
    "easy": Method("the easiest masked tokens, at every t", "lift", (EASY,)),
    "middle": Method("a random subset of the masked tokens, at every t", "lift", (MIDDLE,)),
    "hard": Method("the hardest masked tokens, at every t: a choice for half-learnt tasks", "lift", (HARD,)),
}  # fmt: skip


def modes_of(method: str) -> tuple[int, ...]:
    """Return the modes that `method` chooses among, first the one that wins ties.

    Raises:
        ValueError: the method selects no tokens, or there is none of that name.
    """
    if method not in METHODS or not METHODS[method].selects_tokens:
        choices = ", ".join(name for name, entry in METHODS.items() if entry.selects_tokens)
        raise ValueError(f"method must be one of {choices}, got {method!r}.")
    return METHODS[method].modes


def time_density_problem(method: str) -> str | None:
    """Return what is wrong with drawing the times of `method` by a density, one sentence, or None.

    The weight 1 / density corrects a sum of tokens over a number that does not depend on the times. That of gift does,
    and the mean entropy of confidence is no such sum.
    """
    entry = METHODS[method]
    if entry.reads_step or entry.adds_entropy:
        return f"method={method!r} takes a mean that weights cannot correct for its times: leave time_density out."
    if entry.keeps_pool:
        return f"method={method!r} goes by phases, not by times: leave time_density out."
    return None


def complementary_problem(method: str) -> str | None:
    """Return what is wrong with asking `method` for complementary masks, one sentence, or None.

    Only a random mask has a random complement: the complement of the easiest tokens holds every harder one.
    """
    entry = METHODS.get(method)
    if entry is not None and (entry.num_views > 1 or entry.whole_rows or entry.keeps_pool):
        return f"method={method!r} masks what it does by itself: leave complementary out."
    if entry is not None and (not entry.selects_tokens or MIDDLE in entry.modes):
        return None
    return f"complementary masks belong to the middle mode, which method={method!r} never takes: use lift3 or middle."
