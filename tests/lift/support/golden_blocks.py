"""Recorded steps of published trainers of block diffusion, and the same steps from our functions."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import pad

from lift.integrations.labelled_rows import LabelledRowsCollator
from lift.models.block_attention import noisy_and_clean_pairs
from lift.objectives import DenoisingBatch, complementary_batch, denoising_batch, diffusion_time
from lift.objectives.blocks import Blocks
from lift_kernels import linear_cross_entropy, select_tokens
from lift_kernels.models.confidence import mean_entropy_where_right
from lift_kernels.models.next_token import to_predictor

# What a case starts from; all else that was recorded must be replayed.
_GIVEN = {
    "clean_ids", "raw_input_ids", "raw_labels", "raw_loss_mask", "supervised", "fwd0_hidden", "head_weight",
    "position_ids",
}  # fmt: skip
_GIVEN_TO = {"bd3lms": {"attention_mask"}, "sdar": {"labels"}}


@dataclass
class Case:
    """A recorded step: its JSON, what stands beside it, and what our functions make of the same draws."""

    record: dict[str, Any]
    tensors: dict[str, Tensor]
    exact: dict[str, Any] = field(default_factory=dict)
    close: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Case:
        record = json.loads((folder / f"{folder.name}.json").read_text(encoding="utf-8"))
        return cls(record, load_file(folder / f"{folder.name}.safetensors"))

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["tensors"][name]
        except KeyError:
            raise AttributeError(name) from None

    @cached_property
    def draws(self) -> Iterator[Tensor]:
        return iter([self.tensors[f"draw{n}"] for n in range(len(self.record.get("draws", [])))])

    @property
    def mask(self) -> int:
        return self.record["mask_token_id"]

    def setting(self, name: str, default: Any) -> Any:
        """What a case was recorded with; what is absent has the published default."""
        return self.record.get("settings", {}).get(name, self.record.get(name, default))

    def blocks(self, shape: torch.Size | None = None) -> Blocks:
        rows, length = self.clean_ids.shape if shape is None else shape
        return Blocks.of_rows(rows, length, self.setting("block_size", None) or length)

    def differences(self) -> list[str]:
        """Replay, and name what differs from the recording, or was recorded and not replayed."""
        family = self.record["family"]
        given = _GIVEN | _GIVEN_TO.get(family, set())
        FAMILIES[family](self)
        if left := list(self.draws):
            return [f"{len(left)} draws are left"]
        outcomes = {name for name in self.tensors if not name.startswith("draw")} - given
        found = [f"{name} is not replayed" for name in sorted(outcomes - self.exact.keys() - self.close.keys())]
        for name, ours in self.exact.items():
            theirs = self.tensors.get(name, self.record.get(name))
            same = torch.equal(ours.to(theirs.dtype), theirs) if isinstance(theirs, Tensor) else ours == theirs
            if not same:
                found.append(f"{name}: {ours} instead of {theirs}")
        for name, ours in self.close.items():
            theirs = self.tensors[name]
            largest = theirs.nan_to_num().abs().max().item() if theirs.numel() else 0.0
            if not torch.allclose(ours.to(theirs.dtype), theirs, rtol=0, atol=3e-6 * largest, equal_nan=True):
                found.append(f"{name} is off by {(ours - theirs).abs().max() / largest:.2g} of its largest entry")
        return found

    def forward(self, noisy_ids: Tensor, clean_ids: Tensor, blocks: Blocks) -> None:
        """Replay what a model is given: noisy and clean halves, positions and attention."""
        self.exact["fwd0_input_ids"] = torch.cat([noisy_ids, clean_ids], 1)
        position = torch.arange(noisy_ids.shape[1]).repeat(2)
        self.exact["fwd0_position_ids"] = position.expand_as(self.exact["fwd0_input_ids"])
        self.exact["attention_allowed"] = noisy_and_clean_pairs(blocks)[0, 0]

    def loss(
        self, labels: Tensor, weight: Tensor | float, denominator: Any, *, index: Tensor | None = None,
        exclude: int | None = None, extra: Callable[[Tensor, Tensor], Tensor] | None = None,
    ) -> Tensor:  # fmt: skip
        """Replay loss and gradients, and return the losses (B, L) of the tokens, from the head's recorded inputs.

        `index` (B, L) says where each label's hidden state lies in its row; by default in the same place.
        """
        hidden = self.fwd0_hidden.clone().requires_grad_()
        head = self.head_weight.clone().requires_grad_()
        states = hidden[:, : labels.shape[1]]
        if index is not None:
            states = hidden.gather(1, index[..., None].expand(-1, -1, hidden.shape[2]))
        weights = torch.as_tensor(weight, dtype=torch.float32).expand(labels.shape)
        total = linear_cross_entropy(states, head, labels, token_weight=weights, reduction="sum", exclude_index=exclude)
        loss = total / denominator
        if extra is not None:
            loss = loss + extra(states, head)
        loss.backward()
        self.close |= {"loss": loss.detach(), "grad_hidden": hidden.grad, "grad_head_weight": head.grad}
        return linear_cross_entropy(
            states.detach(), head.detach(), labels, reduction="none", exclude_index=exclude
        )  # fmt: skip


def per_block(blocks: Blocks, values: Tensor) -> Tensor:
    """Return values (U,) of the blocks at their positions (B, L)."""
    return blocks.unfold(values.flatten()[:, None].expand(-1, blocks.size))


def block_batch(case: Case, is_masked: Tensor, supervised: Tensor, time: Tensor, blocks: Blocks, **options: Any) -> Any:
    """Return the `DenoisingBatch` of masks (B, L) and times (U,), made of blocks."""
    folded = denoising_batch(
        blocks.fold(case.clean_ids, 0), blocks.fold(is_masked, False), blocks.fold(supervised, False), time.flatten(),
        mask_token_id=case.mask, **options,
    )  # fmt: skip
    return blocks.unfold_batch(folded)


def _bd3lms(case: Case) -> None:
    clean, blocks = case.clean_ids, case.blocks()
    lowest, highest = case.setting("sampling_eps", (1e-3, 1.0))
    u = next(case.draws)
    if case.setting("antithetic", True):
        u = (u / u.numel() + (torch.arange(u.numel()) / u.numel()).view_as(u)) % 1
    time = torch.ones_like(u) if lowest >= 1 and highest >= 1 else u * (highest - lowest) + lowest
    rate = per_block(blocks, time)
    is_masked = next(case.draws) <= rate
    if blocks.size == 1 and lowest == 1:
        is_masked = torch.ones_like(is_masked)
    elif case.setting("resample", True) and (lowest, highest) != (1e-3, 1.0):
        is_masked = _resampled(case, is_masked, rate, lowest, highest)
    case.exact["t"] = rate if case.t.shape == clean.shape else time
    case.exact["corrupted_before_bos"] = clean.masked_fill(is_masked, case.mask)
    if case.setting("ignore_bos", True):
        is_masked[:, 0] = False
    batch = block_batch(case, is_masked, is_masked, time, blocks, time_scaling=lowest <= 0.5)
    case.forward(batch.input_ids, clean, blocks)
    exclude = case.mask if case.setting("subs", True) else None
    weight = batch.token_weight * case.attention_mask
    losses = case.loss(batch.labels, weight, case.attention_mask.sum(), exclude=exclude)
    case.close["nll"] = losses * weight


def _resampled(case: Case, is_masked: Tensor, rate: Tensor, lowest: float, highest: float) -> Tensor:
    """Draw blocks anew whose share of masks is outside its bounds; a bound at its default is none."""
    size = case.record["block_size"]
    while True:
        share = is_masked.float().view(len(is_masked), -1, size).sum(-1) / size
        is_low, is_high = (share < lowest) & (lowest != 1e-3), (share > highest) & (highest != 1)
        again = (is_low | is_high).repeat_interleave(size, -1)
        if not again.any():
            return is_masked
        is_masked = torch.where(again, next(case.draws) < rate, is_masked)


def _dfactory(case: Case) -> None:
    clean, blocks = case.clean_ids, case.blocks()
    lowest, highest = case.setting("noise_range", (0.3, 0.8))
    prompt = torch.tensor(case.record["prompt_lengths"])[:, None]
    supervised = torch.arange(clean.shape[1]) >= prompt
    is_masked = torch.zeros_like(supervised)
    for row in range(len(clean)):
        rate = next(case.draws) * (highest - lowest) + lowest
        is_masked[row] = (next(case.draws) < rate) & supervised[row]
    time = torch.ones(len(blocks.row))  # the weight is 1
    batch = block_batch(case, is_masked, supervised, time, blocks, time_scaling=False)
    # A supervised token that is the mask token counts as masked.
    labels = clean.where((batch.input_ids == case.mask) & supervised, -100)
    case.exact |= {"noisy_ids": batch.input_ids, "labels": labels}
    case.forward(batch.input_ids, clean, blocks)
    targets = labels if case.setting("same_token_labels", False) else to_predictor(labels, -100)
    split, beta = case.setting("num_micro_batches", 1), case.setting("confidence_beta", 0.0)

    def confidence(states: Tensor, head: Tensor) -> Tensor:
        term = mean_entropy_where_right(states.flatten(0, 1), head, None, labels.flatten(), {})
        case.close["confidence_loss"] = term.detach()
        return term * beta / split

    extra = confidence if beta > 0 else None
    case.loss(targets, batch.token_weight, (targets != -100).sum() * split, extra=extra)


def _dllm(case: Case) -> None:
    record = case.record
    collate = LabelledRowsCollator(
        record["pad_token_id"], pad_in_loss=False, keep_labels=True, block_size=record["block_size"],
        block_fill_id=record["eos_token_id"],
    )  # fmt: skip
    lengths = (case.raw_input_ids >= 0).sum(1).tolist()
    collated = collate([
        {"input_ids": ids[:length].tolist(), "labels": labels[:length].tolist()}
        for ids, labels, length in zip(case.raw_input_ids, case.raw_labels, lengths, strict=True)
    ])  # fmt: skip
    clean, labels = collated["input_ids"], collated["labels"]
    case.exact |= {"collated_input_ids": clean, "collated_labels": labels}
    shifts = case.setting("right_shift_logits", False)
    if shifts and not (labels[:, 0] == -100).all():
        clean = pad(clean, (1, 0), value=record["bos_token_id"])
        labels = pad(labels, (1, 0), value=-100)
    supervised, blocks = labels != -100, case.blocks(clean.shape)
    time = diffusion_time(next(case.draws), epsilon=case.setting("time_epsilon", 1e-3))
    angle = math.pi / 2 * (1 - time)
    is_cosine = "cosine" in case.setting("scheduler", "linear").lower()
    alpha = 1 - torch.cos(angle) if is_cosine else 1 - time
    slope = math.pi / 2 * torch.sin(angle) if is_cosine else torch.ones_like(time)
    is_masked = (next(case.draws) < (1 - alpha)[:, None]) & supervised
    weight = (
        slope / (1 - alpha + 1e-6)
        if case.setting("loss_weight_type", "scheduler") == "scheduler"
        else torch.ones_like(time)
    )
    noisy, labels = clean.masked_fill(is_masked, case.mask), clean.where(is_masked, -100)
    case.forward(noisy, clean, blocks)
    weight = weight[:, None].expand(clean.shape)
    if case.setting("loss_norm_type", "token") == "sequence":
        weight = weight / supervised.sum(1, keepdim=True).clamp(min=1)
    denominator = supervised.sum().clamp(min=1) if case.setting("loss_norm_type", "token") == "token" else len(clean)
    if shifts:
        labels, weight = to_predictor(labels, -100), to_predictor(weight, 0)
    case.loss(labels, weight, denominator)


def _fast_dllm_v2(case: Case) -> None:
    clean, supervised, blocks = case.clean_ids, case.supervised, case.blocks()
    u = next(case.draws)
    rate = diffusion_time(u, epsilon=case.setting("noise_schedule_epsilon", 1e-3))
    is_masked = (next(case.draws) < per_block(blocks, rate)) & supervised
    first = block_batch(case, is_masked, supervised, rate, blocks, time_scaling=False)
    both: DenoisingBatch = complementary_batch(
        first, clean, supervised, torch.ones(len(clean)), mask_token_id=case.mask, time_scaling=False
    )
    targets = to_predictor(both.labels, -100)
    num_trained = int((targets != -100).sum())
    case.exact |= {
        "t": torch.cat([u, u]), "mask_prob": torch.cat([rate, rate]), "noisy_ids": both.input_ids, "labels": targets,
        "labels_unshifted": both.labels, "loss_weights": torch.ones(2 * len(u), u.shape[1]),
        "active_tokens": num_trained, "loss_denominator": float(supervised[:, 1:].sum()),
    }  # fmt: skip
    case.forward(both.input_ids, torch.cat([clean, clean]), blocks)
    case.loss(targets, both.token_weight, num_trained)


def _turbo_standard(case: Case) -> None:
    clean, supervised, blocks = case.clean_ids, case.supervised, case.blocks()
    lowest, highest = case.setting("sampling_epsilon_min", 1e-3), case.setting("sampling_epsilon_max", 1.0)
    u, shape = next(case.draws), (len(clean), blocks.per_row)
    if case.setting("antithetic_sampling", True):
        u = (u + torch.arange(math.prod(shape), dtype=torch.float32).view(shape) / float(math.prod(shape))) % 1.0
    time = u * (highest - lowest) + lowest
    is_masked = (next(case.draws) <= per_block(blocks, time)) & supervised
    weighted = case.setting("loss_weighting", "inverse_move_chance") != "unit"
    batch = block_batch(case, is_masked, supervised, time, blocks, time_scaling=weighted)
    most = -math.log(case.setting("noise_schedule_epsilon", 1e-3))
    case.exact |= {
        "t": time, "mask_prob": (-torch.log1p(-time)).clamp(max=most), "noisy_ids": batch.input_ids,
        "labels": batch.labels, "loss_weights": blocks.fold(batch.token_weight, 0)[:, 0].view(shape),
        "active_tokens": int(is_masked.sum()), "loss_denominator": float(batch.denominator),
    }  # fmt: skip


def _sdar(case: Case) -> None:
    clean, supervised = case.clean_ids, case.labels != -100
    position = case.position_ids
    column = torch.arange(clean.shape[1])
    end = torch.where(position != 0, column, -1).amax(1, keepdim=True) + 1  # a tail of zeros is a document of its own
    position = torch.where(column >= end, column - end, position)
    blocks = Blocks.of_documents(position, torch.full((len(clean),), clean.shape[1]), case.record["block_size"])
    sizes = [row.unique_consecutive(return_counts=True)[1].tolist() for row in blocks.document]
    rate = torch.empty(clean.shape)
    is_masked = torch.zeros_like(supervised)
    for row, counts in enumerate(sizes):
        rate[row], is_masked[row] = _document_masks(case, supervised[row], torch.tensor(counts))
    weight = 1 / rate
    batch = DenoisingBatch(
        clean.masked_fill(is_masked, case.mask), clean.where(is_masked, -100), weight, supervised.sum()
    )
    # Their rows hold noisy and clean tokens document by document: where each of their columns lies in ours.
    order = torch.tensor([
        [half * clean.shape[1] + place for begin, count in zip(_starts(counts), counts, strict=True)
         for half in (0, 1) for place in range(begin, begin + count)]
        for counts in sizes
    ])  # fmt: skip
    pairs = noisy_and_clean_pairs(blocks)[:, 0]
    ids = torch.cat([batch.input_ids, clean], 1)
    case.exact |= {
        "modified_position_ids": position, "is_masked": is_masked, "p_mask": rate[is_masked],
        "segment_lengths": pad(_padded(sizes), (0, case.segment_lengths.shape[1] - max(map(len, sizes)))),
        "fwd0_input_ids": ids.gather(1, order), "fwd0_position_ids": position.repeat(1, 2).gather(1, order),
        "attention_allowed": torch.stack([p[o][:, o] for p, o in zip(pairs, order, strict=True)]),
        "loss_rows": torch.cat([is_masked, torch.zeros_like(is_masked)], 1).gather(1, order),
    }  # fmt: skip
    index = order.argsort(1)[:, : clean.shape[1]]
    case.loss(batch.labels, batch.token_weight, batch.denominator, index=index)


def _document_masks(case: Case, supervised: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Return rates and masks (L,) of a packed row, drawn up to ten times until one token is masked."""
    epsilon = case.setting("eps", 1e-3)
    if not supervised.any():
        return torch.full(supervised.shape, epsilon), torch.zeros_like(supervised)
    for _ in range(10):
        rate = diffusion_time(next(case.draws), epsilon=epsilon).repeat_interleave(counts)
        is_masked = (next(case.draws)[0] < rate) & supervised
        if is_masked.any():
            return rate, is_masked
    is_masked[supervised.nonzero()[int(next(case.draws))]] = True
    return rate, is_masked


def _starts(counts: list[int]) -> list[int]:
    return [sum(counts[:n]) for n in range(len(counts))]


def _padded(rows: list[list[int]]) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)


def _nemo_blockwise(case: Case) -> None:
    clean, supervised = case.clean_ids, case.supervised
    size, blocks = case.setting("block_size", None), case.blocks()
    share = case.setting("eps", 1e-3) + (1 - case.setting("eps", 1e-3)) * next(case.draws)
    exists = blocks.fold(torch.ones_like(clean, dtype=torch.bool), False)
    num_masked = torch.round(share * exists.sum(1).float()).long()
    if not size:
        num_masked = num_masked.clamp(min=1)
    slope = math.log(2.0) / (case.setting("half_life_ratio", 0.25) * blocks.size) * (1.0 - share)
    bias = slope[:, None] * torch.arange(blocks.size, dtype=torch.float32)
    gumbel = -torch.log(-torch.log(next(case.draws) + 1e-9) + 1e-9)
    is_masked = select_tokens(bias + gumbel, exists, num_masked, torch.ones_like(num_masked))
    batch = block_batch(case, blocks.unfold(is_masked) & supervised, supervised, share, blocks)
    case.exact |= {
        "mask_prob": per_block(blocks, share), "is_masked": batch.labels != -100, "noisy_ids": batch.input_ids,
        "fwd0_input_ids": batch.input_ids, "fwd0_position_ids": torch.arange(clean.shape[1]).expand(clean.shape),
    }  # fmt: skip
    weight = batch.token_weight * (1.0 if case.setting("loss_class", "mdlm") == "mdlm" else case.setting("alpha", 1.0))
    case.loss(batch.labels, weight, max(case.setting("denominator", None) or 1, 1))


def _nemo_collator(case: Case) -> None:
    """Fill rows with end tokens to a block boundary, then pad; measured from the response with `response_window`."""
    size, step = case.setting("block_size", None) or 1, case.setting("pad_seq_len_divisible", None) or 1
    most, window = case.setting("max_seq_len", None), case.setting("response_window", False)
    lengths = (case.raw_input_ids >= 0).sum(1)
    first = torch.where(case.raw_loss_mask > 0, torch.arange(case.raw_loss_mask.shape[1]), 1 << 30).amin(1)
    kept = lengths if most is None else lengths.clamp(max=most)
    start = torch.minimum(first, kept) if window else torch.zeros_like(kept)
    ends = start + -(-(kept - start) // size) * size
    width = int(ends.max())
    if step > 1:
        width = -(-width // math.lcm(size, step)) * math.lcm(size, step)
    width = max(width if most is None else min(width, most), 1)
    column = torch.arange(width)
    is_raw, is_filled = column < lengths[:, None], column < ends[:, None]
    pad_id, eos_id = case.record["pad_token_id"], case.record["eos_token_id"]

    def padded(raw: Tensor, fill: int, beyond: int) -> Tensor:
        raw = pad(raw, (0, max(0, width - raw.shape[1])))[:, :width]
        return torch.where(is_raw, raw, torch.where(is_filled, fill, beyond))

    case.exact |= {
        "input_ids": padded(case.raw_input_ids, pad_id if eos_id is None else eos_id, pad_id),
        "loss_mask": padded(case.raw_loss_mask, 1, int(case.setting("supervise_padding", False))),
        "attention_mask": padded(torch.ones_like(case.raw_input_ids), int(window), 0),
        "input_lengths": lengths,
    }  # fmt: skip


FAMILIES: dict[str, Callable[[Case], None]] = {
    "bd3lms": _bd3lms, "dfactory": _dfactory, "dllm_bd3lm": _dllm, "turbo_fast_v2": _fast_dllm_v2,
    "turbo_standard": _turbo_standard, "sdar": _sdar, "nemo_blockwise": _nemo_blockwise,
    "nemo_collator": _nemo_collator,
}  # fmt: skip
