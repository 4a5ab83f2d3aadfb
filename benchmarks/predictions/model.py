"""The time of one step of a linear head, from the pieces that `kernels/plan.py` cuts and a model of a GPU.

The model: a matrix product takes ceil(tiles / multiprocessors) waves of the tile that suits it best, and a launch; the
row kernel takes the longest of its latency, its traffic to memory and its reads of the second-level cache; all else is
bytes over bandwidth. It knows no clocks, no power and no host. What it is for is to compare plans.
"""

from __future__ import annotations

from dataclasses import dataclass

from lift_kernels.kernels.plan import DEFAULT_WORKSPACE_BYTES, Plan, plan_gradients, slices
from lift_kernels.kernels.waves import best_columns

BFLOAT16, FLOAT32 = 2, 4
# Tiles that cuBLAS chooses from, and their share of the best rate.
TILES = {
    (128, 256): 1.0, (256, 128): 1.0, (192, 192): 0.97, (128, 192): 0.93, (192, 128): 0.93, (128, 128): 0.85,
    (64, 256): 0.85, (256, 64): 0.85, (64, 128): 0.65, (128, 64): 0.65,
}  # fmt: skip
LAUNCH, PRODUCT_LAUNCH, SMALL_LAUNCHES = 3e-6, 4e-6, 60e-6  # seconds; the last: all small kernels of a step together
CACHE_MISSES = 0.5  # share of a float32 piece that the second-level cache has lost before it is read
STRIP_BYTES = 48 << 20


@dataclass(frozen=True)
class GPU:
    """A GPU as the model sees it."""

    name: str
    bandwidth: float  # bytes/s
    flops: float = 823e12  # at full waves: 798e12 were seen where tiles fill 97 % of them
    processors: int = 132
    clock: float = 1.7e9
    cache_bandwidth: float = 5.5e12


H100, H200 = GPU("H100", 3.0e12), GPU("H200", 4.3e12)


@dataclass(frozen=True)
class Step:
    """Forward and backward pass of a head: `num_rows` tokens of width `width`, `num_columns` entries, in bfloat16."""

    num_rows: int
    is_trained: bool
    width: int = 4096
    num_columns: int = 126464

    def plan(self, gpu: GPU) -> Plan:
        """Return the plan of the default workspace, with a trained head's gradient deferred."""
        weight_bytes = self.num_columns * self.width * BFLOAT16
        plan = plan_gradients(
            self.num_rows, self.width, self.num_columns, BFLOAT16, DEFAULT_WORKSPACE_BYTES, gpu.processors,
            weight_bytes if self.is_trained else None,
        )  # fmt: skip
        if plan is None:
            raise ValueError(f"The default workspace holds no useful piece of {self}.")
        return plan


def bound(step: Step, gpu: GPU) -> float:
    """Seconds of the 2 or 3 whole products, which no implementation that keeps its logits can do without."""
    n, d, v = step.num_rows, step.width, step.num_columns
    whole = product(n, v, d, gpu) + product(n, d, v, gpu)
    return whole + product(v, d, n, gpu) if step.is_trained else whole


def parts(step: Step, gpu: GPU) -> dict[str, float]:
    """Return the seconds of each part of a step."""
    plan, width = step.plan(gpu), step.width
    time = dict.fromkeys(("logits", "rows", "grad hidden", "grad head", "scaling", "small"), 0.0)
    time["small"] = SMALL_LAUNCHES
    for rows in plan.row_chunks():
        count = rows.stop - rows.start
        for columns in plan.column_chunks():
            time["logits"] += product(count, columns.stop - columns.start, width, gpu)
            time["rows"] += row_kernel(count, columns.stop - columns.start, gpu)
        for part in slices(count, plan.hidden_rows):
            length = part.stop - part.start
            time["grad hidden"] += product(length, width, step.num_columns, gpu)
            time["grad hidden"] += moved(length * width * (FLOAT32 + BFLOAT16), gpu)
        if step.is_trained:
            time["grad head"] += moved(count * width * 2 * BFLOAT16, gpu)
            time["grad head"] += _head_product(plan, rows, step, gpu)
    # One kernel scales the hidden states' gradient in the backward pass, and spreads it over all tokens.
    time["scaling"] = moved(step.num_rows * width * 2 * BFLOAT16, gpu)
    return time


def seconds(step: Step, gpu: GPU) -> float:
    """Return the seconds of a step."""
    return sum(parts(step, gpu).values())


def _head_product(plan: Plan, rows: slice, step: Step, gpu: GPU) -> float:
    count, entries = rows.stop - rows.start, step.num_columns * step.width
    if plan.is_one_chunk:
        return product(step.num_columns, step.width, count, gpu)
    if rows.stop < step.num_rows:
        # Written, or added to, in float32; half of that traffic is under the product.
        traffic = entries * FLOAT32 * (1 if rows.start == 0 else 2)
        return product(step.num_columns, step.width, count, gpu) + 0.5 * traffic / gpu.bandwidth
    strip = best_columns(
        step.width, count, step.num_columns, STRIP_BYTES // (FLOAT32 * step.width), gpu.processors
    )  # fmt: skip
    time = 0.0
    for columns in slices(step.num_columns, strip):
        length = columns.stop - columns.start
        time += product(length, step.width, count, gpu)
        time += moved(length * step.width * (FLOAT32 + BFLOAT16 + FLOAT32 * CACHE_MISSES), gpu)
    return time


def product(m: int, n: int, k: int, gpu: GPU) -> float:
    """Seconds of (m, k) by (k, n) in the tile, and the split of long sums, that suit it best."""
    times = []
    for (a, b), rate in TILES.items():
        for split in (1, 2, 3, 4, 8) if k > 20_000 else (1,):
            waves = -(-(-(-m // a) * -(-n // b) * split) // gpu.processors)
            time = waves * 2 * a * b * (k / split) / (gpu.flops / gpu.processors * rate)
            times.append(time + (2e-6 + m * n * FLOAT32 * (split + 1) / gpu.bandwidth if split > 1 else 0.0))
    return min(times) + PRODUCT_LAUNCH


def row_kernel(num_rows: int, num_columns: int, gpu: GPU) -> float:
    """Seconds of the kernel that reads a piece of logits and writes its exponentials."""
    blocks, logits = -(-num_columns // 2048), num_rows * num_columns
    latency = (1000 + 1200 * blocks) * max(1.0, num_rows / (6 * gpu.processors)) / gpu.clock
    traffic = logits * (FLOAT32 * CACHE_MISSES + BFLOAT16) / gpu.bandwidth
    return max(latency, traffic, logits * FLOAT32 / gpu.cache_bandwidth) + LAUNCH


def moved(num_bytes: float, gpu: GPU) -> float:
    """Seconds of a kernel that does nothing but move `num_bytes`."""
    return num_bytes / gpu.bandwidth + LAUNCH
