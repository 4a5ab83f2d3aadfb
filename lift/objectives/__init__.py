"""What each method trains on: which masked tokens, and with which weight. Pure functions of tensors.

    sft     masks at rate t and trains every masked token.
    lift2   masks at rate t + rho, keeps the easiest share t / (t + rho) when t >= 1/2, else the hardest.
    lift3   the same in three bands: hardest below 1/3, a random subset up to 2/3, easiest above.
    easy, middle, hard    the same, one of the three at every t.
    cart    masks at rate t and trains a masked token the more, the more visible tokens stand near it.
    gift    masks each token at a rate of its own, higher where the model is uncertain.

All but gift weight the cross-entropy of a trained token by 1/t and divide by the number of tokens that could have been
masked. gift weights by one over the token's own rate and divides by the number drawn. Where a method masks more than
it trains, the other tokens get their true token back (not in one-forward LIFT, which scores and trains in one pass).

Source: LIFT (arXiv 2605.22939) and its published code. `Quirks` names where the defaults here differ from that code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lift.lazy_face import lazy_face

if TYPE_CHECKING:
    from lift.objectives.batch import DenoisingBatch, denoising_batch, sft_batch, without_first_token
    from lift.objectives.cart import cart_batch, cart_weights
    from lift.objectives.complementary import complementary_batch, complementary_problem
    from lift.objectives.forward_process import (
        DISCRETE_TIMES,
        diffusion_time,
        draw_time,
        draw_uniforms,
        evaluation_time,
        overmask_rate,
        step_seed,
    )
    from lift.objectives.gift import gift_batch, gift_batch_of_draw, gift_rates
    from lift.objectives.lift import OneForwardBatch, ScoreFunction, lift_batch, one_forward_batch
    from lift.objectives.modes import (
        EASY,
        HARD,
        METHODS,
        MIDDLE,
        MODE_POLICIES,
        MODE_SCOPES,
        MODES,
        choose_order,
        draw_order,
        num_to_keep,
    )
    from lift.objectives.normalizers import StepCounts, token_weights_and_denominator
    from lift.objectives.options import LiftOptions
    from lift.objectives.published import Quirks, random_orders, score_in_logits_dtype, select_unordered

__all__ = [
    "DISCRETE_TIMES",
    "EASY",
    "HARD",
    "METHODS",
    "MIDDLE",
    "MODES",
    "MODE_POLICIES",
    "MODE_SCOPES",
    "DenoisingBatch",
    "LiftOptions",
    "OneForwardBatch",
    "Quirks",
    "ScoreFunction",
    "StepCounts",
    "cart_batch",
    "cart_weights",
    "choose_order",
    "complementary_batch",
    "complementary_problem",
    "denoising_batch",
    "diffusion_time",
    "draw_order",
    "draw_time",
    "draw_uniforms",
    "evaluation_time",
    "gift_batch",
    "gift_batch_of_draw",
    "gift_rates",
    "lift_batch",
    "num_to_keep",
    "one_forward_batch",
    "overmask_rate",
    "random_orders",
    "score_in_logits_dtype",
    "select_unordered",
    "sft_batch",
    "step_seed",
    "token_weights_and_denominator",
    "without_first_token",
]

__getattr__, __dir__ = lazy_face(__name__, __file__)
