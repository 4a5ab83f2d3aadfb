from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
import torch

from lift_kernels.kernels import plan as planning
from lift_kernels.kernels import workspace
from lift_kernels.kernels.row_chunks import Scratch
from lift_kernels.kernels.workspace import Part, allocate

MIB = 1 << 20


def test_parts_lie_aligned_and_apart_in_one_allocation():
    parts = Part((3, 5), torch.float32), Part((7,), torch.bfloat16), Part((2, 2), torch.float32)
    tensors = allocate(torch.empty(0), 1 << 12, *parts)
    for number, (tensor, part) in enumerate(zip(tensors, parts, strict=True)):
        assert tensor.shape == part.shape and tensor.dtype == part.dtype and tensor.data_ptr() % 64 == 0
        tensor.fill_(number)
    assert len({tensor.untyped_storage().data_ptr() for tensor in tensors}) == 1
    assert all((tensor == number).all() for number, tensor in enumerate(tensors))


@pytest.mark.parametrize(("needed", "size"), [(1, 1), (600, 1000), (501, 1000), (500, 500), (250, 250), (1001, 1001)])
def test_sizes_are_halves_of_the_most(needed, size):
    assert allocate(torch.empty(0), 1000, Part((needed,), torch.uint8))[0].untyped_storage().nbytes() == size


@dataclass
class CachingAllocator:
    """Torch's CUDA allocator for large blocks: best fit, blocks cut where 1 MiB or more is left, and merged again."""

    segments: list[list[list[int]]] = field(default_factory=list)  # of [size, owner], in the order of addresses
    owners: int = 0

    def allocate(self, size: int) -> int:
        size = -(-size // 512) * 512
        self.owners += 1
        free = [(b[0], s, i) for s in self.segments for i, b in enumerate(s) if not b[1] and b[0] >= size]
        if free:
            _, segment, index = min(free, key=lambda found: found[0])
        else:
            segment, index = [[20 * MIB if size < 10 * MIB else -(-size // (2 * MIB)) * 2 * MIB, 0]], 0
            self.segments.append(segment)
        rest = segment[index][0] - size
        if rest > MIB:
            segment[index : index + 1] = [[size, self.owners], [rest, 0]]
        else:
            segment[index][1] = self.owners
        return self.owners

    def free(self, owner: int) -> None:
        for segment in self.segments:
            for block in segment:
                block[1] *= block[1] != owner
            for i in range(len(segment) - 1, 0, -1):
                if not segment[i][1] and not segment[i - 1][1]:
                    segment[i - 1][0] += segment.pop(i)[0]

    @property
    def reserved(self) -> int:
        return sum(size for segment in self.segments for size, _ in segment)


def reserved_over_steps(counts: list[int], weight: torch.Tensor, is_trained: bool) -> list[int]:
    """Bytes reserved after each step of a head on `counts` rows: what one call and its backward pass ask for."""
    memory, reserved = CachingAllocator(), []
    most, gradient = planning.DEFAULT_WORKSPACE_BYTES, weight.numel() * 2
    for num_rows in counts:
        sizes = (num_rows, weight.shape[1], weight.shape[0], 2, most, 132)
        plan = planning.plan_gradients(*sizes, exponential_bytes=gradient if is_trained else None)
        scratch = Scratch.allocate(weight, plan, most, exponentials=True)
        storages = {
            t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in (scratch.buffer, scratch.exponentials)
        }
        rows = memory.allocate(num_rows * weight.shape[1] * 2)
        held = [memory.allocate(size) for size in storages.values()]
        grad_rows = memory.allocate(num_rows * weight.shape[1] * 2)
        memory.free(held.pop(0))  # at the end of the forward pass: the exponentials may outlive it
        if is_trained:
            held += [memory.allocate(gradient), memory.allocate(num_rows * weight.shape[1] * 2)]
        for owner in (*held, rows, grad_rows):
            memory.free(owner)
        reserved.append(memory.reserved)
    return reserved


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(("is_trained", "most_mib"), [(False, 2200), (True, 3000)], ids=["frozen", "trained"])
def test_reserved_memory_does_not_grow_over_steps_of_random_rows(is_trained, most_mib, seed, monkeypatch):
    """Of LLaDA's head. A trained one's gradient, and the exponentials in its place, are 1 GiB each beside the workspace."""
    weight = torch.empty(126464, 4096, dtype=torch.bfloat16, device="meta")
    draw = random.Random(seed)
    counts = [draw.randint(256, 4000) for _ in range(300)]
    reserved = reserved_over_steps(counts, weight, is_trained)
    assert reserved[-1] == reserved[40] <= most_mib * MIB
    if not is_trained:
        monkeypatch.setattr(workspace, "_size_class", lambda needed, most: needed)
        assert reserved_over_steps(counts, weight, is_trained)[-1] > 1.8 * reserved[-1]
