"""TRL: log-probabilities in tiles of 4096 rows by 32768 columns, recomputed in the backward pass (1.16).

Its trainers take the mean of `ChunkedLogProbFunction` over the tokens that count, as here; like them it is given only
those rows.
"""

from __future__ import annotations

from torch import Tensor

from benchmarks.rivals.rival import IGNORED, Rival

_TEMPERATURE, _COLUMNS, _SOFTCAP, _SCALE = 1.0, 32768, None, 1.0  # columns: as its trainers have it


def chunked_logprob(hidden_states: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    takes_part = targets != IGNORED
    return -_log_probs(hidden_states[takes_part], weight, targets[takes_part]).mean()


def of_tokens(hidden_states: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    return -_log_probs(hidden_states, weight, targets.clamp(min=0))


def _log_probs(hidden_states: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    from trl.kernels import ChunkedLogProbFunction

    results: tuple[Tensor, ...] = ChunkedLogProbFunction.apply(
        hidden_states, weight, None, targets, _TEMPERATURE, _COLUMNS, _SOFTCAP, _SCALE, ()
    )
    return results[0]


RIVALS = {
    "trl, chunked_logprob": Rival(
        chunked_logprob, "trl", ("trl.kernels", "trl.trainer.utils"), "maybe_gather_lm_head_ctx", on_cpu=True,
        token_losses=of_tokens,
    )
}  # fmt: skip
