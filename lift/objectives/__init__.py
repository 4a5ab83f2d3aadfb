"""What each method trains on: which masked tokens, and with which weight. Pure functions of tensors.

`METHODS` lists the methods. All but gift, blockwise and puma weight the cross-entropy of a trained token by 1/t (cart
by a factor more) and divide by the number of tokens that could have been masked. gift weights by one over the token's
own rate and divides by the number drawn, blockwise and puma take means over a row's tokens and over rows. Where times
are drawn by a density (`TimeDensity`, ppots), one over it is a factor of the weights too. Where a method selects
tokens, those that it rejects get their true token back (not in one-forward LIFT, which scores and trains in one pass).
Each takes whole rows, or (but for blockwise) the blocks of rows, which are then samples of their own (`Blocks`).

README.md beside this file has the formulas, and where the published code differs.

Source: LIFT (arXiv 2605.22939) and its published code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lift.lazy_face import lazy_face

if TYPE_CHECKING:
    from lift.objectives.batch import DenoisingBatch, ScoreFunction, denoising_batch, without_first_token
    from lift.objectives.block_options import BlockOptions
    from lift.objectives.block_times import draw_block_times
    from lift.objectives.blocks import Blocks
    from lift.objectives.blockwise import blockwise_batch
    from lift.objectives.cart import cart_batch, cart_weights
    from lift.objectives.choices import (
        EVALUATION_GRIDS,
        MODE_POLICIES,
        MODE_SCOPES,
        NORMALIZERS,
        SCORE_SOURCES,
        TIME_DISTRIBUTIONS,
    )
    from lift.objectives.complementary import complementary_batch
    from lift.objectives.cost import relative_cost
    from lift.objectives.forward_process import (
        DISCRETE_TIMES,
        diffusion_time,
        draw_time,
        draw_uniforms,
        evaluation_place,
        evaluation_time,
        overmask_rate,
        step_seed,
    )
    from lift.objectives.gift import gift_batch, gift_batch_of_draw, gift_rates
    from lift.objectives.lift import LiftBatch, lift_batch
    from lift.objectives.methods import EASY, HARD, METHODS, MIDDLE, MODES, Method, complementary_problem
    from lift.objectives.micro_batch import Draws, MicroBatch, TrainingBatch
    from lift.objectives.mirror import mirror_batch
    from lift.objectives.modes import choose_order, draw_order, num_to_keep
    from lift.objectives.noise_options import NoiseOptions
    from lift.objectives.normalizers import StepCounts, normalise, token_weights_and_denominator
    from lift.objectives.one_forward import OneForwardBatch, one_forward_batch
    from lift.objectives.options import PUBLISHED, LiftOptions
    from lift.objectives.published import random_orders, score_in_logits_dtype, select_unordered
    from lift.objectives.puma import puma_batch
    from lift.objectives.sft import sft_batch
    from lift.objectives.time_density import TimeDensity
    from lift.objectives.time_density_file import read_time_density
    from lift.objectives.uniform_noise import UniformNoise

__all__ = [
    "DISCRETE_TIMES",
    "EASY",
    "EVALUATION_GRIDS",
    "HARD",
    "METHODS",
    "MIDDLE",
    "MODES",
    "MODE_POLICIES",
    "MODE_SCOPES",
    "NORMALIZERS",
    "PUBLISHED",
    "SCORE_SOURCES",
    "TIME_DISTRIBUTIONS",
    "BlockOptions",
    "Blocks",
    "DenoisingBatch",
    "Draws",
    "LiftBatch",
    "LiftOptions",
    "Method",
    "MicroBatch",
    "NoiseOptions",
    "OneForwardBatch",
    "ScoreFunction",
    "StepCounts",
    "TimeDensity",
    "TrainingBatch",
    "UniformNoise",
    "blockwise_batch",
    "cart_batch",
    "cart_weights",
    "choose_order",
    "complementary_batch",
    "complementary_problem",
    "denoising_batch",
    "diffusion_time",
    "draw_block_times",
    "draw_order",
    "draw_time",
    "draw_uniforms",
    "evaluation_place",
    "evaluation_time",
    "gift_batch",
    "gift_batch_of_draw",
    "gift_rates",
    "lift_batch",
    "mirror_batch",
    "normalise",
    "num_to_keep",
    "one_forward_batch",
    "overmask_rate",
    "puma_batch",
    "random_orders",
    "read_time_density",
    "relative_cost",
    "score_in_logits_dtype",
    "select_unordered",
    "sft_batch",
    "step_seed",
    "token_weights_and_denominator",
    "without_first_token",
]

__getattr__, __dir__ = lazy_face(__name__, __file__)
