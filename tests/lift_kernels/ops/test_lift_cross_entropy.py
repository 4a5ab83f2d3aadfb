from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from lift_kernels import lift_cross_entropy, linear_cross_entropy, reference, select_tokens
from lift_kernels.testing import Head, assert_gradient_close, assert_nats_close
from tests.lift_kernels.kernel_paths import KERNEL_PATHS

B, L, D, V = 5, 8, 24, 300
NONE_MASKED = 3  # the row without a masked token
LEAVES = ("hidden_states", "weight", "bias")


@dataclass(frozen=True)
class Batch:
    """A head with logits of deviation ~1 and B rows, of which one has no masked token and one keeps none."""

    head: Head
    labels: Tensor
    timestep: Tensor
    num_keep: Tensor
    order: Tensor

    @classmethod
    def random(cls, dtype: torch.dtype = torch.float32) -> Batch:
        head = Head.random(B * L, D, V, dtype, ignored=0.4, seed=3)
        labels = head.targets.view(B, L).clone()
        labels[NONE_MASKED] = -100
        num_masked = (labels != -100).sum(1)
        num_keep = num_masked // 2
        num_keep[1] = 0
        return cls(
            head, labels, torch.tensor([0.9, 0.5, 0.1, 0.7, 0.4]), num_keep, torch.tensor([1, 0, -1, 1, 0])
        )  # fmt: skip

    def run(self, function, names, **options):
        head = self.head.trainable(*names)
        result = function(
            head.hidden_states.view(B, L, D), head.weight, self.labels, self.timestep.to(head.token_weight.dtype),
            self.num_keep, self.order, bias=head.bias, seed=7, **options,
        )  # fmt: skip
        loss, learnability = result if isinstance(result, tuple) else (result, None)
        loss.backward()
        return loss.detach(), learnability, head.grads(*names)

    def double(self) -> Batch:
        return replace(self, head=self.head.double())


OPTIONS = {
    "hard": {"learnability": "hard"},
    "soft": {"learnability": "soft", "temperature": 0.7},
    "no-time-scaling": {"time_scaling": False, "row_weight": torch.tensor([0.5, 2.0, 1.0, 3.0, 0.25])},
    "softcap": {"logit_softcap": 2.5, "logit_scale": 1.5, "denominator": 31.0},
    "soft+softcap": {"learnability": "soft", "logit_softcap": 2.5, "logit_scale": 1.5, "denominator": 31.0},
}


DTYPES = (torch.float32, torch.bfloat16, torch.float16)
# The interpreter is slow, so the Triton backend takes each option once.
CASES = [
    *(("torch", way, dtype, name) for way in (None, 300_000) for dtype in (*DTYPES, torch.float64) for name in OPTIONS),
    *(("triton", way, dtype, name) for way in KERNEL_PATHS for dtype in DTYPES for name in ("hard", "soft+softcap")),
]


@pytest.mark.parametrize("names", [("hidden_states",), LEAVES], ids=["frozen", "trained"])
@pytest.mark.parametrize(("backend", "way", "dtype", "option"), CASES, ids=str)
def test_loss_and_gradients_match_float64_truth(backend, way, dtype, option, names, take_kernel_path):
    options = OPTIONS[option]
    if backend == "triton":
        take_kernel_path(way)
    batch = Batch.random(dtype)
    loss, c, grads = batch.run(
        lift_cross_entropy, names, return_learnability=True, backend=backend,
        workspace_bytes=way if backend == "torch" else None, **options,
    )  # fmt: skip
    truth, true_c, true_grads = batch.double().run(reference.lift_cross_entropy, names, **options)
    _, _, plain_grads = batch.run(reference.lift_cross_entropy, names, **options)
    if options.get("learnability") == "soft":
        torch.testing.assert_close(c.double(), true_c, rtol=1e-4, atol=1e-5)
    else:
        assert torch.equal(c, true_c != 0)
    assert_nats_close(ours=loss, truth=truth)
    for ours, true, plain in zip(grads, true_grads, plain_grads, strict=True):
        assert ours.dtype == dtype
        assert_gradient_close(ours=ours, truth=true, baseline=plain)


def test_hard_learnability_is_select_tokens_and_its_loss_that_of_the_kept_tokens():
    batch = Batch.random(torch.float64)
    head = batch.head
    hidden_states = head.hidden_states.view(B, L, D)
    loss, stats, is_kept = lift_cross_entropy(
        hidden_states, head.weight, batch.labels, batch.timestep, batch.num_keep, batch.order, bias=head.bias, seed=7,
        return_stats=True, return_learnability=True,
    )  # fmt: skip
    is_masked = batch.labels != -100
    expected = select_tokens(stats.log_prob, is_masked, batch.num_keep, batch.order, seed=7)
    assert torch.equal(is_kept, expected) and torch.equal(is_kept.sum(1), batch.num_keep)
    kept_labels = batch.labels.where(is_kept, -100)
    token_weight = (1 / batch.timestep[:, None]).expand(B, L)
    alone = linear_cross_entropy(
        hidden_states, head.weight, kept_labels, bias=head.bias, token_weight=token_weight, denominator=is_masked.sum()
    )
    torch.testing.assert_close(loss, alone, rtol=1e-6, atol=0)


def test_soft_learnability_follows_the_time():
    batch = Batch.random(torch.float64)
    num_masked = (batch.labels != -100).sum(1)
    for t, sign in ((0.95, 1), (0.05, -1), (0.5, 0)):
        _, stats, weight = lift_cross_entropy(
            batch.head.hidden_states.view(B, L, D), batch.head.weight, batch.labels, torch.full((B,), t),
            batch.num_keep, batch.order, learnability="soft", return_stats=True, return_learnability=True,
        )  # fmt: skip
        torch.testing.assert_close(weight.sum(1), batch.num_keep.double().where(num_masked > 0, 0))
        for b in range(B):
            is_masked = batch.labels[b] != -100
            if batch.num_keep[b] == 0 or not is_masked.any():
                continue
            by_score = weight[b, is_masked][stats.log_prob[b, is_masked].argsort()]
            steps = by_score.diff()
            assert (steps * sign > 0).all() if sign else steps.abs().max() < 1e-12


def test_equal_scores_and_a_single_token_share_evenly():
    hidden_states, weight = torch.zeros(2, 4, 8), torch.randn(20, 8)
    labels = torch.tensor([[3, 4, 5, -100], [7, -100, -100, -100]])
    *_, c = lift_cross_entropy(
        hidden_states, weight, labels, torch.tensor([0.9, 0.2]), torch.tensor([2, 1]), torch.tensor([1, 1]),
        learnability="soft", return_learnability=True,
    )  # fmt: skip
    torch.testing.assert_close(c, torch.tensor([[2 / 3, 2 / 3, 2 / 3, 0], [1.0, 0, 0, 0]]))


@pytest.mark.parametrize("backend", ["torch", "triton"])
@pytest.mark.parametrize("learnability", ["hard", "soft"])
def test_nothing_masked_gives_a_connected_zero(learnability, backend):
    batch = replace(Batch.random(), labels=torch.full((B, L), -100), num_keep=torch.zeros(B, dtype=torch.int64))
    loss, _, grads = batch.run(lift_cross_entropy, LEAVES, learnability=learnability, backend=backend)
    assert loss == 0
    assert all(grad is not None and not grad.any() for grad in grads)


@pytest.mark.parametrize(
    ("backend", "learnability", "names"),
    [
        *itertools.product(["torch"], ["hard", "soft"], [(), ("hidden_states",), LEAVES]),
        ("triton", "hard", LEAVES),
        ("triton", "soft", ("hidden_states",)),
    ],
    ids=str,
)
def test_it_passes_opcheck(backend, learnability, names):
    batch = Batch.random()
    head = batch.head.trainable(*names)
    wants = [name in names for name in LEAVES]
    torch.library.opcheck(
        torch.ops.lift_kernels.lift_cross_entropy.default,
        (
            head.hidden_states, head.weight, head.bias, batch.labels, 1 / batch.timestep, batch.timestep,
            batch.num_keep, batch.order, None, 7, learnability == "soft", 1.0, -100, None, None, 1.0, None, *wants, True,
            None, backend,
        ),
    )  # fmt: skip


@pytest.mark.parametrize("backend", ["torch", "triton"])
def test_it_compiles_as_one_graph(backend):
    batch = Batch.random()

    def step(hidden_states, weight):
        return lift_cross_entropy(
            hidden_states.view(B, L, D), weight, batch.labels, batch.timestep, batch.num_keep, batch.order, seed=7,
            return_stats=True, return_learnability=True, backend=backend,
        )  # fmt: skip

    results = []
    for function in (step, torch.compile(step, fullgraph=True, backend="aot_eager")):
        head = batch.head.trainable("hidden_states", "weight")
        loss, stats, is_kept = function(head.hidden_states, head.weight)
        loss.backward()
        results.append([loss.detach(), *stats, is_kept, *head.grads("hidden_states", "weight")])
    assert all(map(torch.equal, *results))


def test_labels_of_any_strides(kernel_device):
    """What the op returns has the strides that its fake promises, or compiled code reads it wrongly."""
    batch = Batch.random()
    labels = batch.labels.T.contiguous().T
    arguments = (batch.head.hidden_states.view(B, L, D), batch.head.weight)
    rows = (batch.timestep, batch.num_keep, batch.order)
    expected = lift_cross_entropy(*arguments, batch.labels, *rows, seed=0, return_learnability=True)
    for ours, true in zip(
        lift_cross_entropy(*arguments, labels, *rows, seed=0, return_learnability=True), expected, strict=True
    ):
        assert torch.equal(ours, true) and ours.is_contiguous()


def call(**changes):
    batch = Batch.random()
    arguments = {
        "hidden_states": batch.head.hidden_states.view(B, L, D), "weight": batch.head.weight, "labels": batch.labels,
        "timestep": batch.timestep, "num_keep": batch.num_keep, "order": batch.order, "seed": 0,
    }  # fmt: skip
    return lift_cross_entropy(**(arguments | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_states": torch.ones(L, D)}, r"hidden_states must have shape \(B, L, D\), got \(8, 24\)"),
        ({"labels": torch.zeros(B, L + 1, dtype=torch.int64)}, r"labels must have shape \(5, 8\)"),
        ({"labels": torch.full((B, L), V)}, r"lift_cross_entropy: labels must lie in \[0, 300\)"),
        ({"timestep": torch.ones(B, 1)}, r"timestep must have shape \(5,\)"),
        ({"timestep": torch.ones(B, dtype=torch.int64)}, "timestep must be float32 or"),
        ({"num_keep": torch.ones(B)}, "num_keep must be int64 or int32, got float32"),
        ({"num_keep": torch.full((B,), 99)}, r"num_keep\[0\] must lie between 0 and"),
        ({"order": torch.full((B,), 2)}, r"order\[0\] must be 1"),
        ({"seed": None}, r"seed must be given, as order\[1\] is 0"),
        ({"learnability": "sharp"}, "learnability must be one of 'hard', 'soft', got 'sharp'"),
        ({"temperature": 0.0}, "temperature must be positive and finite, got 0.0"),
        ({"reduction": "none"}, "reduction must be one of 'mean', 'sum', got 'none'"),
        ({"reduction": "sum", "denominator": 2.0}, "denominator belongs to reduction='mean'"),
        ({"denominator": -1.0}, "denominator must be positive"),
        ({"logit_softcap": 0.0}, "logit_softcap must be positive"),
        ({"backend": "cuda"}, "backend must be one of"),
    ],
)
def test_bad_input_is_named(changes, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call(**changes)
