"""Replay of vectors recorded from the published LIFT code, from our public functions alone.

Every recorded case is here. Taken as given: hidden states, head weight and the random draws.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from lift import objectives
from lift.objectives import EASY, HARD, MIDDLE, DenoisingBatch, denoising_batch, num_to_keep
from lift.objectives.forward_process import diffusion_time, discrete_time, draw_time, evaluation_time, overmask_rate
from lift_kernels import lift_cross_entropy, linear_cross_entropy, linear_token_stats, select_tokens

ORDERS = {"topk": EASY, "vanilla": MIDDLE, "bottomk": HARD}
REPLAYED: set[str] = set()


@dataclass
class Case:
    meta: dict[str, Any]
    tensors: dict[str, Tensor]

    def __getattr__(self, name: str) -> Tensor:
        return self.tensors[name]

    @property
    def timestep(self) -> Tensor:
        return self.t[:, 0]

    @property
    def is_masked(self) -> Tensor:
        return self.labels != -100

    @property
    def maskable(self) -> Tensor:
        return ~self.prompt_mask

    def option(self, name: str, default: Any) -> Any:
        return self.meta["options"].get(name, default)

    def hidden_states(self, forward: int) -> Tensor:
        """The head's inputs in `forward`, before any shift: what the recorded gradients are for."""
        return self.tensors[f"fwd{forward}_hidden"]

    def denoising_batch(self, is_trained: Tensor) -> DenoisingBatch:
        return denoising_batch(
            self.clean_ids, is_trained, self.maskable, self.timestep, mask_token_id=self.meta["mask_token_id"],
            time_scaling=self.option("time_scaling", True),
        )  # fmt: skip

    def assert_close(self, ours: Tensor, truth: Tensor) -> None:
        """To 1e-12 (float64) or 2e-6 (float32) of the largest entry, as the recording states it."""
        assert ours.shape == truth.shape
        relative = 1e-12 if self.meta["dtype"] == "float64" else 2e-6
        largest = truth.abs().max().item() if truth.numel() else 0.0
        torch.testing.assert_close(ours.to(truth.dtype), truth, rtol=0, atol=relative * largest)


@pytest.fixture
def case(request, shared_dir: Path) -> Case:
    folder = shared_dir / "golden" / request.param
    return Case(
        json.loads((folder / f"{request.param}.json").read_text()),
        load_file(folder / f"{request.param}.safetensors"),
    )


def replays(*names: str) -> pytest.MarkDecorator:
    REPLAYED.update(names)
    return pytest.mark.parametrize("case", names, indirect=True)


def shifted(hidden_states: Tensor) -> Tensor:
    """What predicts position i stands at i - 1; all-zero logits at position 0."""
    return torch.cat([torch.zeros_like(hidden_states[:, :1]), hidden_states[:, :-1]], 1)


def assert_loss_and_gradients(case: Case, batch: DenoisingBatch, shifts: bool = False) -> None:
    hidden_states = case.hidden_states(case.meta["loss_forward"]).clone().requires_grad_()
    weight = case.head_weight.clone().requires_grad_()
    aligned = shifted(hidden_states) if shifts else hidden_states
    ce = linear_cross_entropy(aligned.detach(), weight.detach(), batch.labels, reduction="none")
    case.assert_close(ce, case.ce)
    loss = linear_cross_entropy(
        aligned, weight, batch.labels, token_weight=batch.token_weight, denominator=batch.denominator
    )
    case.assert_close(loss.detach(), case.loss)
    loss.backward()
    case.assert_close(hidden_states.grad, case.grad_hidden)
    case.assert_close(weight.grad, case.grad_head_weight)


def assert_inputs(case: Case, batch: DenoisingBatch) -> None:
    assert torch.equal(batch.input_ids, case.tensors[f"fwd{case.meta['loss_forward']}_input_ids"])
    assert torch.equal(batch.labels, case.loss_labels)


@replays(
    "collate_continuous_norho_a", "collate_continuous_rho_a", "collate_discrete_rho_a", "collate_eval_rho_a",
    "collate_fixed_rho_a",
)  # fmt: skip
def test_times_rates_and_masks(case):
    if "draw_t_uniform" in case.tensors:
        uniform = case.draw_t_uniform
    elif "draw_t_index" in case.tensors:
        uniform = discrete_time(case.draw_t_index, dtype=case.t.dtype)
    elif "given_t" in case.tensors:
        uniform = case.given_t
        grid = evaluation_time(torch.arange(len(uniform)), len(uniform), grid="linspace")
        torch.testing.assert_close(grid.double(), uniform, rtol=0, atol=1e-7)
    else:
        ids = torch.arange(case.meta["B"])
        uniform = draw_time("fixed", 0, ids, fixed_time=case.meta["fixed_timestep"]).to(case.t.dtype)
    case.assert_close(diffusion_time(uniform), case.timestep)
    rho = torch.zeros_like(uniform)
    if case.meta["rho_sampling"]:
        rho = overmask_rate(uniform, case.draw_rho_uniform)
    case.assert_close(rho, case.rho[:, 0])
    is_masked = (case.draw_mask_uniform < (diffusion_time(uniform) + rho)[:, None]) & case.maskable
    batch = denoising_batch(case.clean_ids, is_masked, case.maskable, uniform, mask_token_id=case.meta["mask_token_id"])
    assert torch.equal(batch.input_ids, case.input_ids)
    assert torch.equal(batch.labels, case.labels)
    assert batch.denominator == case.clean_ids.numel() - case.num_prompt_tokens


@replays(
    "vanilla_sft_a", "empty_batch_vanilla_a", "gift_eval_a", "shifted_vanilla_sft_a", "shifted_vanilla_first_position_a"
)  # fmt: skip
def test_sft(case):
    batch = case.denoising_batch(case.is_masked)
    assert_inputs(case, batch)
    assert_loss_and_gradients(case, batch, shifts=case.option("shift_flag", False))


@replays("shifted_vanilla_first_position_a")
def test_without_position_0_the_shifted_loss_loses_a_constant(case):
    """The published flag charges log V at position 0, which trains nothing; leaving it out changes no gradient."""
    maskable = objectives.without_first_token(case.maskable)
    batch = denoising_batch(
        case.clean_ids, case.is_masked & maskable, maskable, case.timestep, mask_token_id=case.meta["mask_token_id"]
    )
    hidden_states = case.fwd0_hidden.clone().requires_grad_()
    loss = linear_cross_entropy(
        shifted(hidden_states), case.head_weight, batch.labels, token_weight=batch.token_weight, reduction="sum"
    )
    constant = (case.is_masked[:, 0] / case.timestep).sum() * math.log(case.meta["vocab_size"])
    num_published = case.maskable.sum()
    assert constant > 0 and batch.denominator == num_published - case.maskable[:, 0].sum()
    case.assert_close(loss.detach() + constant, case.loss * num_published)
    loss.backward()
    case.assert_close(hidden_states.grad, case.grad_hidden * num_published)


LIFT = (
    "lift3_top_a", "lift3_middle_a", "lift3_bottom_a", "lift2_a", "lift2_tie_a", "lift3_mixed_rows_a",
    "lift3_random_policy_a", "half_rounding_bottom_a", "k_zero_row_bottom_a", "t_at_eps_bottom_a", "t_at_eps_middle_a",
    "all_masked_top_a", "empty_row_bottom_a", "no_time_scaling_a", "lift3_middle_equal_k_a", "llada_block_a",
    "complementary_a", "shifted_flag_lift_bottom_a", "shifted_lift_bottom_a", "shifted_lift_middle_a",
)  # fmt: skip
ONE_FORWARD = ("approx_top_a", "approx_bottom_a")


@replays(*LIFT, *ONE_FORWARD, "empty_batch_bottom_a")
def test_the_mode(case):
    """By the mean time of the batch, as published; each row's own time gives another mode to the mixed rows only."""
    if case.option("mode_policy", "time") == "random":
        return  # below
    method = "lift2" if case.option("n_modes", 3) == 2 else "lift3"
    published = torch.full((case.meta["B"],), ORDERS[case.meta["mode"]])
    assert torch.equal(objectives.choose_order(case.timestep, method, scope="batch"), published)
    by_row = objectives.choose_order(case.timestep, method)
    if torch.equal(case.timestep, torch.tensor([0.15, 0.55, 0.95], dtype=case.t.dtype)):
        assert by_row.tolist() == [HARD, MIDDLE, EASY]
    elif (case.timestep == case.timestep[0]).all():
        assert torch.equal(by_row, published)


@replays("lift3_random_policy_a")
def test_the_random_modes(case):
    recorded = [case.meta["mode"], *case.meta["mode_sequence_after_first"]]
    ours = islice(objectives.random_orders("lift3"), len(recorded))
    assert list(ours) == [ORDERS[mode] for mode in recorded]


def num_kept(case: Case) -> tuple[Tensor, Tensor]:
    """(num_keep, order) of each row of a LIFT case."""
    order = torch.full((case.meta["B"],), ORDERS[case.meta["mode"]])
    return num_to_keep(case.is_masked.sum(1), case.timestep, case.rho[:, 0], order), order


def gold_log_prob(case: Case) -> Tensor:
    """From the scoring forward, fused and by the published formula."""
    hidden_states = case.fwd0_hidden
    if case.meta["shift_inside_model"]:
        hidden_states = shifted(hidden_states)
    scores = objectives.score_in_logits_dtype(hidden_states @ case.head_weight.T, case.labels)
    case.assert_close(scores, case.gold_logp)
    log_prob = linear_token_stats(hidden_states, case.head_weight, case.labels).log_prob
    case.assert_close(log_prob, case.gold_logp)
    return log_prob


@replays(*LIFT)
def test_lift(case):
    num_keep, order = num_kept(case)
    assert num_keep.tolist() == case.meta["n_kept_per_row"]
    if order[0] == MIDDLE:
        is_exact = select_tokens(case.draw_rand_scores, case.is_masked, num_keep, torch.full_like(order, EASY))
        assert torch.equal(is_exact, case.kept_mask_exact)
        is_kept = objectives.select_unordered(case.topk_indices, case.is_masked, num_keep)
        assert torch.equal(is_kept, is_exact) != case.meta["unordered_selection_quirk_visible"]
    else:
        assert torch.equal(case.clean_ids.masked_fill(case.is_masked, case.meta["mask_token_id"]), case.fwd0_input_ids)
        is_kept = select_tokens(gold_log_prob(case), case.is_masked, num_keep, order)
    assert torch.equal(is_kept, case.kept_mask)
    batch = case.denoising_batch(is_kept)
    if case.option("complementary", False):
        batch = objectives.complementary_batch(
            batch, case.clean_ids, case.maskable, case.timestep, order=order, published=True,
            mask_token_id=case.meta["mask_token_id"],
        )  # fmt: skip
    assert_inputs(case, batch)
    assert_loss_and_gradients(case, batch, shifts=case.meta["shift_inside_model"])


@replays("empty_batch_bottom_a")
def test_lift_without_a_masked_token(case):
    """The published loss is a constant; ours is a zero with zero gradients."""
    num_keep, order = num_kept(case)
    assert not num_keep.any()
    batch = case.denoising_batch(select_tokens(torch.zeros_like(case.t), case.is_masked, num_keep, order))
    assert torch.equal(batch.input_ids, case.clean_ids)
    hidden_states = case.fwd0_hidden.clone().requires_grad_()
    loss = linear_cross_entropy(
        hidden_states, case.head_weight, batch.labels, token_weight=batch.token_weight, denominator=batch.denominator
    )
    case.assert_close(loss.detach(), case.loss)
    loss.backward()
    assert not hidden_states.grad.any()


@replays("complementary_a")
def test_both_views_count_in_the_denominator(case):
    """Without the published quirks: the loss of SFT over both views, from the recorded cross-entropies."""
    batch = objectives.complementary_batch(
        case.denoising_batch(case.kept_mask), case.clean_ids, case.maskable, case.timestep,
        mask_token_id=case.meta["mask_token_id"],
    )  # fmt: skip
    assert_inputs(case, batch)
    first, second = case.ce.sum(1)
    (time,) = case.timestep
    loss = (batch.token_weight * case.ce).sum() / batch.denominator
    case.assert_close(loss, (first / time + second / (1 - time)) / (2 * case.maskable.sum()))


@replays(*ONE_FORWARD)
def test_one_forward(case):
    num_keep, order = num_kept(case)
    assert num_keep.tolist() == case.meta["n_kept_per_row"]
    hidden_states = case.fwd0_hidden.clone().requires_grad_()
    weight = case.head_weight.clone().requires_grad_()
    batch = case.denoising_batch(case.is_masked)
    assert torch.equal(batch.input_ids, case.fwd0_input_ids)
    loss, stats, is_kept = lift_cross_entropy(
        hidden_states, weight, batch.labels, case.timestep, num_keep, order, denominator=batch.denominator,
        return_stats=True, return_learnability=True,
    )  # fmt: skip
    case.assert_close(stats.log_prob, case.gold_logp)
    assert torch.equal(is_kept, case.kept_mask)
    assert torch.equal(batch.labels.where(is_kept, -100), case.loss_labels)
    case.assert_close(-stats.log_prob * is_kept, case.ce)
    case.assert_close(loss.detach(), case.loss)
    loss.backward()
    case.assert_close(hidden_states.grad, case.grad_hidden)
    case.assert_close(weight.grad, case.grad_head_weight)


@replays("cart_a")
def test_cart(case):
    batch = case.denoising_batch(case.is_masked)
    weight = objectives.cart_weights(~case.is_masked, case.option("cart_p", 0.1), dtype=case.t.dtype)
    batch = batch._replace(token_weight=batch.token_weight * weight)
    assert_inputs(case, batch)
    assert_loss_and_gradients(case, batch)


@pytest.mark.parametrize("unsafe_division", [False, True])
@replays("gift_train_a", "gift_nothing_drawn_a")
def test_gift(case, unsafe_division):
    """The floor of the rates and the division do nothing here: both forms give the recorded loss."""
    mask_token_id = case.meta["mask_token_id"]
    response = case.maskable & (case.clean_ids != case.meta["pad_token_id"])
    asked = []

    def entropy(input_ids: Tensor, labels: Tensor) -> Tensor:
        asked.append(input_ids)
        return linear_token_stats(case.fwd0_hidden, case.head_weight).entropy

    objectives.gift_batch(
        case.clean_ids, response, case.timestep, entropy, mask_token_id=mask_token_id, seed=0,
        example_id=torch.arange(case.meta["B"]),
    )  # fmt: skip
    assert torch.equal(asked[0], case.fwd0_input_ids)
    rates = objectives.gift_rates(
        entropy(case.input_ids, case.labels), response, case.timestep, unsafe_division=unsafe_division
    )
    case.assert_close(rates, case.gift_rate)
    is_drawn = (case.draw_bernoulli == 1) & response
    batch = objectives.gift_batch_of_draw(
        case.clean_ids, is_drawn, rates, mask_token_id=mask_token_id, fallback=case.is_masked,
        unsafe_division=unsafe_division,
    )  # fmt: skip
    assert_inputs(case, batch)
    assert_loss_and_gradients(case, batch)


def test_every_recorded_case_is_replayed(shared_dir):
    assert {path.name for path in (shared_dir / "golden").iterdir() if path.is_dir()} == REPLAYED
