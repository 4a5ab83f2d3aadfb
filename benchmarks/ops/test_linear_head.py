"""Every provider on every case: errors against float64, peak memory, and times beside the bare matrix products.

Run by `make bench`, or `pytest benchmarks` with the options of `benchmarks/conftest.py`.
"""

from __future__ import annotations

import gc
import statistics
import time
from dataclasses import dataclass, field
from typing import Any

import pytest

from benchmarks.harness.memory import MIB
from benchmarks.harness.run_config import RunConfig
from benchmarks.harness.timing import summarize
from benchmarks.ops.accuracy import CaseTruth
from benchmarks.ops.cases import Case, Inputs
from benchmarks.ops.peak_memory import peak_of
from benchmarks.ops.provider import Step
from benchmarks.ops.providers import BOUND, PROVIDERS, is_own

# A rival's warning is not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore")


@dataclass
class Prepared:
    """A case with its inputs and its truth."""

    case: Case
    inputs: Inputs
    truth: CaseTruth
    products: Step

    def clear(self) -> None:
        """Forget the gradients of the step before."""
        for leaf in self.inputs[:2]:
            leaf.grad = None


class Workshop:
    """Prepares one case at a time: its truth may take gigabytes."""

    def __init__(self, config: RunConfig) -> None:
        self.config = config
        self.now: Prepared | None = None

    def prepare(self, case: Case) -> Prepared:
        """Return the case that is there already, or another in its place."""
        if self.now is None or self.now.case != case:
            self.now = None
            gc.collect()
            self.config.release_memory()
            inputs = case.inputs(self.config.device)
            products = PROVIDERS[BOUND].prepare(case, inputs, self.config)
            self.now = Prepared(case, inputs, CaseTruth(case, inputs), products)
        return self.now


@pytest.fixture(scope="session")
def workshop(run_config: RunConfig) -> Workshop:
    """One for all."""
    return Workshop(run_config)


@dataclass
class Interleaved:
    """Before each round of a step, times the bare products: a drift of the machine meets both."""

    prepared: Prepared
    config: RunConfig
    products_ms: list[float] = field(default_factory=list)

    def __call__(self) -> None:
        """The set-up of a round, which is not part of its time."""
        self.prepared.clear()
        self.config.synchronize()
        start = time.perf_counter()
        self.prepared.products()
        self.config.synchronize()
        self.products_ms.append(1e3 * (time.perf_counter() - start))

    def facts(self, step_ms: list[float]) -> dict[str, Any]:
        """Return quantiles, and the median ratio of the rounds' pairs; the first products were those of a warm-up."""
        products_ms = self.products_ms[-len(step_ms) :]
        ratios = [step / products for step, products in zip(step_ms, products_ms, strict=True)]
        return {
            **summarize(step_ms),
            "products": summarize(products_ms),
            "ratio_to_products": statistics.median(ratios),
        }


def test_provider(
    benchmark: Any, case: Case, provider: str, workshop: Workshop, run_config: RunConfig, num_rounds: int
) -> None:
    """Measure; then fail if it is ours and wrong. A rival that is not near enough is marked and timed all the same."""
    implementation = PROVIDERS[provider]
    if reason := implementation.missing(run_config):
        pytest.skip(reason)
    prepared = workshop.prepare(case)
    prepared.clear()
    step = implementation.prepare(case, prepared.inputs, run_config)
    facts: dict[str, Any] = {
        "case": case.name, "model": case.model, "N": case.num_tokens, "masked": case.masked, "work": case.work,
        "head": case.head, "targets": case.num_targets, "trained": case.num_trained, "D": case.width,
        "V": case.vocab_size, "dtype": str(case.dtype), "provider": provider, "own": is_own(provider),
    }  # fmt: skip
    inaccuracy = None
    if provider != BOUND:  # whose results nobody reads, and which holds its memory
        result = step()
        losses = None
        if case.trained_leaves:
            losses = implementation.token_losses(case, prepared.inputs, run_config)
        errors, inaccuracy = prepared.truth.errors(result, prepared.inputs, losses)
        prepared.clear()
        peak = peak_of(provider, case, step, run_config)
        facts |= errors | {"peak_mib": None if peak is None else peak / MIB}
    facts["inaccuracy"] = inaccuracy

    def timed() -> None:
        step()
        run_config.synchronize()

    interleaved = Interleaved(prepared, run_config)
    benchmark.group = case.name
    benchmark.pedantic(timed, setup=interleaved, rounds=num_rounds, iterations=1, warmup_rounds=1)
    facts |= interleaved.facts([1e3 * seconds for seconds in benchmark.stats.stats.data])
    benchmark.extra_info.update(facts)
    if inaccuracy and is_own(provider):
        pytest.fail(f"{case.name}, {provider}: {inaccuracy}")
