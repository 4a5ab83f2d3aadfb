"""Results that nothing measured."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.ops.cases import Case
from benchmarks.ops.providers import BOUND, OWN


def facts(case: Case, provider: str, median_ms: float, peak_mib: float | None, **more) -> dict:
    return {
        "case": case.name, "model": case.model, "N": case.num_tokens, "masked": case.masked, "work": case.work,
        "head": case.head, "targets": case.num_targets, "D": case.width, "V": case.vocab_size,
        "dtype": "torch.bfloat16", "provider": provider, "own": provider.startswith(OWN), "median_ms": median_ms,
        "p20_ms": 0.9 * median_ms, "p80_ms": 1.1 * median_ms, "ratio_to_products": 1.25, "inaccuracy": None,
        **({} if provider == BOUND else {"peak_mib": peak_mib}), **more,
    }  # fmt: skip


def file_of_results(folder: Path) -> Path:
    """Two shares of masked tokens: time grows with their square, memory with their number."""
    every = []
    for masked in (0.25, 0.5):
        case = Case("32k", 512, masked, "loss", "trained")
        every.append(facts(case, BOUND, 40 * masked, None))
        every.append(facts(
            case, OWN, 1000 * masked**2, 100 * masked, token_loss_error_nats=3e-7,
            hidden_states_gradient_error=1.5e-3, weight_gradient_error=1.6e-3,
        ))  # fmt: skip
        every.append(facts(case, "logits", 900 * masked, 300 * masked, mean_loss_error_nats=2e-2, inaccuracy="off"))
    path = folder / "results.json"
    environment = {
        "torch": "2.13.0",
        "device": "cpu",
        "processor": "Zen",
        "instructions": "AVX2",
        "threads": 2,
        "peers": {"trl": "1.16"},
        "settings": {"THP_MEM_ALLOC_ENABLE": "1"},
    }
    record = {"machine_info": {"lift": environment}, "benchmarks": [{"extra_info": row} for row in every]}
    path.write_text(json.dumps(record))
    return path
