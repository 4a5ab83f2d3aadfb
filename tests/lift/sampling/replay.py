"""Decode recorded runs of published samplers again: `python -m tests.lift.sampling.replay FOLDER`.

Ids, the number of forwards and the order of unmasking are compared, each case once from logits and once from hidden
states and the head. Prints how many cases are equal; status 1 unless all are.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from lift import generate
from tests.lift.support.golden_renoising import difference_of_renoising
from tests.lift.support.golden_sampler import Case, Decoding, decoding_of
from tests.lift.support.recorded_noise import RecordedNoise
from tests.lift.support.replayed_folder import replay_folder
from tests.lift.support.stub_denoiser import STUB_FAMILY, PositionedStub, StubDenoiser


class Outcome(NamedTuple):
    """Of each row, the ids and the steps of unmasking; and how often the model was called."""

    ids: list[list[int]]
    order: list[list[int]]
    num_forwards: int


def replay(case: Case, model_type: str) -> Outcome:
    """Decode a case with a stub of a family, or of none."""
    decoding, stub = decoding_of(case), case.record["stub"]
    model = (PositionedStub if decoding.is_positioned else StubDenoiser)(stub, model_type)
    prompt_ids, mask = case.tensors["prompt_ids"], case.tensors.get("attention_mask")
    if (prompt_ids < 0).any():
        mask = (prompt_ids >= 0).long()
    prompt_ids = prompt_ids.clamp(min=0)
    found = generate(
        model, prompt_ids, sampler=decoding.sampler, reference_quirks=True, attention_mask=mask,
        noise=_noise(case, decoding, mask), return_order=True, **decoding.settings,
    )  # fmt: skip
    assert model.num_calls == found.num_forwards
    places = _places(case, decoding)
    recorded, lengths = case.tensors["output_ids"], _prompt_lengths(case)
    ids, order = [], []
    for row, (row_ids, row_order) in enumerate(zip(found.ids.tolist(), found.unmask_step.tolist(), strict=True)):
        if decoding.is_cut:
            row_ids = _cut(row_ids[lengths[row] :], decoding.settings["stop_ids"])
            row_order = row_order[lengths[row] :][: len(row_ids)]
            ids.append(row_ids)
            order.append(row_order)
            continue
        taken = [place for place in places[row] if place[1] < recorded.shape[1]]
        ids.append([row_ids[ours] for ours, _ in taken])
        order.append([row_order[ours] for ours, _ in taken])
    return Outcome(ids, order, found.num_forwards)


def recorded(case: Case) -> Outcome:
    """Return what was recorded of a case, of the same positions as `replay`."""
    decoding, output = decoding_of(case), case.tensors["output_ids"]
    steps = _recorded_order(case)
    lengths = _prompt_lengths(case)
    ids, order = [], []
    for row, places in enumerate(_places(case, decoding)):
        if decoding.is_cut:
            answer = _cut(output[row].tolist(), decoding.settings["stop_ids"])[: decoding.settings["gen_length"]]
            ids.append(answer)
            order.append(steps[row, lengths[row] : lengths[row] + len(answer)].tolist())
            continue
        taken = [theirs for _, theirs in places if theirs < output.shape[1]]
        ids.append(output[row, taken].tolist())
        order.append(steps[row, taken].tolist())
    return Outcome(ids, order, case.record["num_forwards"])


def _prompt_lengths(case: Case) -> list[int]:
    prompt_ids = case.tensors["prompt_ids"]
    return case.record.get("prompt_lengths", [prompt_ids.shape[1]] * len(prompt_ids))


def _places(case: Case, decoding: Decoding) -> list[list[tuple[int, int]]]:
    """Return for each row the pairs (our column, recorded column)."""
    lengths, width = _prompt_lengths(case), case.tensors["prompt_ids"].shape[1]
    if decoding.settings.get("infill"):
        return [[(column, column) for column in range(length)] for length in lengths]
    new = decoding.settings["gen_length"]
    pairs = []
    for length in lengths:
        begin = _begin(case, decoding) if decoding.sampler == "bd3lm" else length
        pairs.append(
            [(column, begin - length + column) for column in range(length)]
            + [(width + column, begin + column) for column in range(new)]
        )
    return pairs


def _begin(case: Case, decoding: Decoding) -> int:
    """Return the recorded column where the first block begins."""
    width, block_length = case.tensors["prompt_ids"].shape[1], _block_length(decoding)
    if decoding.settings.get("infill"):
        return 0
    if decoding.sampler == "bd3lm":
        return -(-max(_prompt_lengths(case)) // block_length) * block_length
    if decoding.sampler in ("llada2", "llada2.1", "sdar"):
        return width // block_length * block_length
    return width


def _block_length(decoding: Decoding) -> int:
    return decoding.settings.get("block_length") or decoding.settings["gen_length"]


def _noise(case: Case, decoding: Decoding, mask: Tensor | None) -> RecordedNoise | None:
    if not case.record["draws"]:
        return None
    width, lengths = case.tensors["prompt_ids"].shape[1], torch.tensor(_prompt_lengths(case))
    is_moved = decoding.sampler == "dllm" and not decoding.settings.get("infill")
    first = width - lengths if is_moved else torch.zeros_like(lengths)
    return RecordedNoise(
        case, first, _begin(case, decoding), _block_length(decoding), case.tensors["output_ids"].shape[1]
    )


def _recorded_order(case: Case) -> Tensor:
    """Return the step (B, T) after which each position first held a token, -1 if given or never."""
    if "unmask_step" in case.tensors:
        return case.tensors["unmask_step"]
    trace = case.tensors["history" if "history" in case.tensors else "canvas_trace"]
    is_held = (trace != case.mask_token_id) & (trace >= 0)
    if len(trace) == case.record["num_forwards"] and "history" not in case.tensors:  # the last canvas is the output
        is_held = torch.cat([is_held, torch.ones_like(is_held[:1])])
    step = torch.where(is_held.any(0), is_held.long().argmax(0) - 1, -1)
    # A trace may show a prompt's last tokens late, with the block that they begin.
    prompt_ids = case.tensors["prompt_ids"]
    step[:, : prompt_ids.shape[1]].masked_fill_(prompt_ids == trace[-1, :, : prompt_ids.shape[1]], -1)
    return step


def _cut(ids: list[int], stop_ids: tuple[int, ...]) -> list[int]:
    ends = [place for place, token in enumerate(ids) if token in stop_ids]
    return ids[: ends[0] + 1] if ends else ids


def _ranked(order: list[list[int]]) -> list[list[int]]:
    """Return steps numbered without gaps: a history tells no forwards that committed nothing."""
    number = {step: rank for rank, step in enumerate(sorted({step for row in order for step in row if step >= 0}))}
    return [[number.get(step, -1) for step in row] for row in order]


def difference(case: Case, model_type: str) -> str | None:
    """Return in which respect a replayed case differs, or None."""
    if case.family == "diffusion_gemma":
        return difference_of_renoising(case, model_type)
    ours, theirs = replay(case, model_type), recorded(case)
    if ours.ids != theirs.ids:
        return f"ids {ours.ids} instead of {theirs.ids}"
    if ours.num_forwards != theirs.num_forwards:
        return f"{ours.num_forwards} forwards instead of {theirs.num_forwards}"
    ranked = _ranked if "history" in case.tensors else lambda order: order
    if ranked(ours.order) != ranked(theirs.order):
        return f"order {ranked(ours.order)} instead of {ranked(theirs.order)}"
    return None


def main(folder: Path) -> int:
    """Replay each case of a folder; return the exit status."""
    types = {"logits": "unknown stub", "head": STUB_FAMILY}
    return replay_folder(folder, {f", by {way}": partial(_differences, model_type=types[way]) for way in types})


def _differences(path: Path, model_type: str) -> list[str]:
    found = difference(Case.read(path), model_type)
    return [] if found is None else [found]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
