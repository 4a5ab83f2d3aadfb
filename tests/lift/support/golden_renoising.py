"""Recorded runs of DiffusionGemma's sampler, decoded again."""

from __future__ import annotations

from collections import deque

import torch
from torch import Tensor

from lift.sampling.heads import read_logits, read_states
from lift.sampling.renoising import RenoisingConfig, Step, generate_by_renoising
from tests.lift.support.golden_sampler import Case
from tests.lift.support.stub_denoiser import STUB_FAMILY, StubDenoiser


class RecordedRenoising:
    """The draws of a recorded run, in their order."""

    def __init__(self, case: Case) -> None:
        self._draws = deque(case.tensors[f"draw{n}"] for n in range(len(case.record["draws"])))

    def begin(self, forward: int, block: int, step: int) -> None:
        pass

    def tokens(self, logits: Tensor, row: Tensor, column: Tensor) -> Tensor:
        return self._draws.popleft().flatten()

    def token_ids(self, row: Tensor, column: Tensor, vocab_size: int) -> Tensor:
        return self._draws.popleft().flatten()


def difference_of_renoising(case: Case, model_type: str) -> str | None:
    """Return in which respect a replayed case differs, or None."""
    settings, stub = case.settings, case.record["stub"]
    model, steps = StubDenoiser(stub, model_type), list[Step]()
    read = read_states if model_type == STUB_FAMILY else read_logits

    def denoise(text: Tensor, is_text: Tensor, canvas: Tensor, previous: Tensor | None) -> Tensor:
        ids = torch.cat([text, canvas], 1)
        index = torch.arange(ids.numel()).view(ids.shape)[:, text.shape[1] :].flatten()
        logits = read(model, {"input_ids": ids}, index, lambda rows, head: head.logits(rows)).view(*canvas.shape, -1)
        return logits if previous is None else logits + previous / 8

    stop_ids = settings.get("eos_token_id")
    config = RenoisingConfig(
        gen_length=settings.get("max_new_tokens", 256), canvas_length=settings.get("canvas_length", 256),
        steps=settings.get("max_denoising_steps", 48), entropy_bound=settings.get("entropy_bound", 0.1),
        temperature_min=settings.get("t_min", 0.4), temperature_max=settings.get("t_max", 0.8),
        stability_threshold=settings.get("stability_threshold", 1),
        confidence_threshold=settings.get("confidence_threshold", 0.005),
        stop_ids=() if stop_ids is None else tuple(stop_ids) if isinstance(stop_ids, list) else (stop_ids,),
    )  # fmt: skip
    ids, num_forwards = generate_by_renoising(
        denoise, case.tensors["prompt_ids"], config, vocab_size=stub["vocab_size"],
        pad_token_id=settings.get("pad_token_id", 0), noise=RecordedRenoising(case), on_step=steps.append,
    )  # fmt: skip
    if num_forwards != case.record["num_forwards"]:
        return f"{num_forwards} forwards instead of {case.record['num_forwards']}"
    names = {
        "forward_canvas": "canvas",
        "next_canvas": "next_canvas",
        "argmax_canvas": "draft",
        "finished": "has_ended",
    }
    for theirs, ours in names.items():
        if theirs in case.tensors:
            found = torch.stack([getattr(step, ours) for step in steps])
            if not torch.equal(found, case.tensors[theirs]):
                return f"{theirs} {found.tolist()} instead of {case.tensors[theirs].tolist()}"
    if ids.tolist() != case.tensors["output_ids"].tolist():
        return f"ids {ids.tolist()} instead of {case.tensors['output_ids'].tolist()}"
    return None
