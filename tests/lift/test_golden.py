"""Replay of vectors recorded from the published LIFT code, from our public functions alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from lift.forward_process import diffusion_time, overmask_rate
from lift.objectives import EASY, HARD, MIDDLE, choose_order, denoising_batch, num_to_keep
from lift_kernels import linear_cross_entropy, linear_token_stats, select_tokens

ORDERS = {"topk": EASY, "vanilla": MIDDLE, "bottomk": HARD}
SFT = ("vanilla_sft_a", "empty_batch_vanilla_a")
LIFT = (
    "lift3_top_a", "lift3_middle_a", "lift3_bottom_a", "lift2_a", "lift2_tie_a", "lift3_mixed_rows_a",
    "lift3_random_policy_a", "half_rounding_bottom_a", "k_zero_row_bottom_a", "t_at_eps_bottom_a", "t_at_eps_middle_a",
    "all_masked_top_a", "empty_batch_bottom_a", "empty_row_bottom_a", "no_time_scaling_a", "lift3_middle_equal_k_a",
    "llada_block_a",
)  # fmt: skip
COLLATED = ("collate_continuous_norho_a", "collate_continuous_rho_a", "collate_discrete_rho_a", "collate_fixed_rho_a")


@dataclass
class Case:
    meta: dict[str, Any]
    tensors: dict[str, Tensor]

    def __getattr__(self, name: str) -> Tensor:
        return self.tensors[name]

    @property
    def relative(self) -> float:
        return 1e-12 if self.meta["dtype"] == "float64" else 2e-6

    def assert_close(self, ours: Tensor, truth: Tensor) -> None:
        """To `relative` of the largest entry, as the recording states it."""
        assert ours.shape == truth.shape
        largest = truth.abs().max().item() if truth.numel() else 0.0
        torch.testing.assert_close(ours.to(truth.dtype), truth, rtol=0, atol=self.relative * largest)


@pytest.fixture
def case(request, shared_dir: Path) -> Case:
    folder = shared_dir / "golden" / request.param
    return Case(
        json.loads((folder / f"{request.param}.json").read_text()),
        load_file(folder / f"{request.param}.safetensors"),
    )


@pytest.mark.parametrize("case", COLLATED, indirect=True)
def test_times_rates_and_masks(case):
    """t and rho to the bit from the recorded uniforms, and the same positions masked."""
    if "draw_t_uniform" in case.tensors:
        uniform = case.draw_t_uniform
    elif "draw_t_index" in case.tensors:
        uniform = torch.tensor([1 / 16, 1 / 8, 1 / 4, 1 / 2, 2**-0.5, 2**-0.25], dtype=case.t.dtype)[case.draw_t_index]
    else:
        uniform = torch.full_like(case.t[:, 0], case.meta["fixed_timestep"])
    timestep = diffusion_time(uniform)
    case.assert_close(timestep, case.t[:, 0])
    rho = (
        overmask_rate(uniform, case.draw_rho_uniform)
        if "draw_rho_uniform" in case.tensors
        else torch.zeros_like(uniform)
    )
    case.assert_close(rho, case.rho[:, 0])
    is_masked = (case.draw_mask_uniform < (timestep + rho)[:, None]) & ~case.prompt_mask
    assert torch.equal(case.clean_ids.where(is_masked, -100), case.labels)


@pytest.mark.parametrize("case", LIFT, indirect=True)
def test_lift_keeps_the_same_tokens(case):
    is_masked, timestep, rho = case.labels != -100, case.t[:, 0], case.rho[:, 0]
    order = torch.full((case.meta["B"],), ORDERS[case.meta["mode"]])
    if case.meta["options"].get("mode_policy") == "time":
        # The published code picks one mode from the mean time of the batch.
        method = "lift2" if case.meta["options"].get("n_modes") == 2 else "lift3"
        assert choose_order(timestep.mean()[None], method).item() == order[0]
    num_keep = num_to_keep(is_masked.sum(1), timestep, rho, order)
    if not is_masked.any():
        assert not num_keep.any()
        return
    assert num_keep.tolist() == case.meta["n_kept_per_row"]
    if order[0] == MIDDLE:
        scores, select_order, kept = case.draw_rand_scores, torch.full_like(order, EASY), case.kept_mask_exact
    else:
        scores, select_order, kept = gold_log_prob(case), order, case.kept_mask
    is_kept = select_tokens(scores, is_masked, num_keep, select_order)
    assert torch.equal(is_kept, kept)
    if "kept_mask_exact" in case.tensors and not torch.equal(case.kept_mask, case.kept_mask_exact):
        return  # the published selection is wrong here (unordered top-k), so its loss is another one
    batch = denoising_batch(
        case.clean_ids, is_kept, ~case.prompt_mask, timestep, mask_token_id=case.meta["mask_token_id"],
        time_scaling=case.meta["options"].get("time_scaling", True),
    )  # fmt: skip
    assert torch.equal(batch.input_ids, case.tensors[f"fwd{case.meta['loss_forward']}_input_ids"])
    assert torch.equal(batch.labels, case.loss_labels)
    assert_loss_and_gradients(case, batch)


@pytest.mark.parametrize("case", SFT, indirect=True)
def test_sft_has_the_same_loss(case):
    timestep = case.t[:, 0]
    batch = denoising_batch(
        case.clean_ids, case.labels != -100, ~case.prompt_mask, timestep, mask_token_id=case.meta["mask_token_id"]
    )
    assert torch.equal(batch.input_ids, case.input_ids)
    assert_loss_and_gradients(case, batch)


def gold_log_prob(case: Case) -> Tensor:
    log_prob = linear_token_stats(case.fwd0_hidden, case.head_weight, case.labels).log_prob
    case.assert_close(log_prob, case.gold_logp)
    return log_prob


def assert_loss_and_gradients(case: Case, batch) -> None:
    hidden_states = case.tensors[f"fwd{case.meta['loss_forward']}_hidden"].clone().requires_grad_()
    weight = case.head_weight.clone().requires_grad_()
    loss = linear_cross_entropy(
        hidden_states, weight, batch.labels, token_weight=batch.token_weight, denominator=batch.denominator
    )
    case.assert_close(loss.detach(), case.loss)
    loss.backward()
    if "grad_hidden" in case.tensors:
        case.assert_close(hidden_states.grad, case.grad_hidden)
        case.assert_close(weight.grad, case.grad_head_weight)
