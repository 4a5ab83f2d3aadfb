"""Drawn tokens: those of the definition, distributed as they should be, whatever the batch, the pieces and the backend."""

from __future__ import annotations

import pytest
import torch
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from lift_kernels import linear_sample, linear_token_stats, reference
from lift_kernels.testing import Head

OPTIONS = {
    "plain": {},
    "excluded": {"exclude_index": 7},
    "scaled and capped": {"logit_scale": 1.5, "logit_softcap": 2.5},
}
BACKENDS = ("torch", "triton")
# The Triton backend draws from logits in memory or on chip, by the number of rows and the workspace.
WAYS = (("torch", "one-chunk"), ("triton", "one-chunk"), ("triton", "on-chip"))


def drawn(head, **options):
    return linear_sample(
        head.hidden_states, head.weight, **{"bias": head.bias, "temperature": 0.8, "seed": 5, **options}
    )


@pytest.mark.parametrize("temperature", [0.0, 0.8])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_tokens_and_statistics_are_those_of_the_definition(backend, options, temperature):
    head = Head.random(11, 8, 507)
    row_ids = torch.tensor([0, 2**31, 2**32 - 1, 2**40 + 7, 2**63 - 1, -1, -(2**33) - 5, 1, 2, 3, 3])
    positions = torch.tensor([0, 1, 2**32 - 1, 2**31, 7, 7, 7, 8, 8, 8, 9])
    draw = {"temperature": temperature, "seed": 2**63 - 2, "row_ids": row_ids, "positions": positions}
    found = drawn(head, backend=backend, **draw, **options)
    wide = head.to(torch.float64)
    token, log_prob, entropy = reference.linear_sample(
        wide.hidden_states, wide.weight, bias=wide.bias, **draw, **options
    )
    assert torch.equal(found.token, token)
    torch.testing.assert_close(found.log_prob.double(), log_prob, rtol=1e-6, atol=1e-5)
    torch.testing.assert_close(found.entropy.double(), entropy, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("path", ["many-chunks", "on-chip"])
def test_both_backends_draw_the_same_in_any_pieces(path, options, take_kernel_path):
    head = Head.random(9, 8, 1100)
    whole = drawn(head, backend="torch", **options)
    take_kernel_path(path)
    for backend, workspace_bytes in (("torch", 400_000), ("triton", None), ("triton", 10_000_000)):
        found = drawn(head, backend=backend, workspace_bytes=workspace_bytes, **options)
        assert torch.equal(found.token, whole.token)
        torch.testing.assert_close(found.log_prob, whole.log_prob, rtol=1e-6, atol=2e-6)
        torch.testing.assert_close(found.entropy, whole.entropy, rtol=1e-6, atol=2e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_dtypes_draw_from_the_exact_logits_of_their_operands(dtype):
    head = Head.random(9, 8, 300).to(dtype)
    wide = drawn(head.to(torch.float64))
    found = drawn(head)
    assert torch.equal(found.token, wide.token)
    assert found.log_prob.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    if dtype == torch.bfloat16:
        assert torch.equal(drawn(head, backend="triton").token, wide.token)


@pytest.mark.parametrize(("backend", "path", "size"), [("torch", "one-chunk", 40_000), ("triton", "on-chip", 512)])
def test_tokens_are_drawn_from_the_softmax(backend, path, size, take_kernel_path):
    take_kernel_path(path)
    logits = torch.tensor([0.3, -1.0, 2.0, 1.0, 0.9, -torch.inf, 0.0, 0.5, 1.5])
    # V = 9: the third group of words has one entry. Half of the draws differ in their rows, half in their positions.
    number = torch.arange(size)
    options = {"row_ids": number % 2 * number, "positions": (1 - number % 2) * number, "exclude_index": 6}
    weight = torch.nan_to_num(logits, neginf=-1e4)[:, None]
    found = linear_sample(torch.ones(size, 1), weight, temperature=0.7, seed=1, backend=backend, **options)
    p = (logits.double() / 0.7).index_fill(0, torch.tensor([6]), -torch.inf).softmax(0)
    counts, expected = found.token.bincount(minlength=9).double(), p * size
    assert counts[5] == counts[6] == 0
    kept = expected > 0
    # 6 degrees of freedom: above 31 with p = 2.5e-5.
    assert ((counts - expected)[kept] ** 2 / expected[kept]).sum() < 31


@pytest.mark.parametrize(
    "filters", [{"top_k": 3}, {"top_p": 0.6}, {"top_k": 40, "top_p": 0.9}, {"top_k": 9999, "top_p": 1.0}]
)
@pytest.mark.parametrize("workspace_bytes", [None, 420_000])
def test_filters_are_those_of_transformers(filters, workspace_bytes):
    head = Head.random(7, 8, 507)
    found = drawn(head, **filters, exclude_index=3, workspace_bytes=workspace_bytes)
    logits = reference.linear_logits(head.hidden_states, head.weight, head.bias, exclude_index=3)
    kept = TemperatureLogitsWarper(0.8)(None, logits)
    if "top_k" in filters:
        kept = TopKLogitsWarper(filters["top_k"])(None, kept)
    if "top_p" in filters:
        kept = TopPLogitsWarper(filters["top_p"])(None, kept)
    noise = torch.tensor([[reference.entry_noise(5, row, 0, v) for v in range(507)] for row in range(7)])
    assert torch.equal(found.token, (kept + noise).argmax(-1))
    log_probs = logits.double().log_softmax(-1)
    torch.testing.assert_close(
        found.log_prob.double(), log_probs.gather(1, found.token[:, None])[:, 0], rtol=1e-6, atol=1e-5
    )
    # In float64 the definition's loops.
    wide = head.to(torch.float64)
    token, *_ = reference.linear_sample(
        wide.hidden_states, wide.weight, bias=wide.bias, temperature=0.8, seed=5, exclude_index=3,
        row_ids=torch.arange(7), positions=torch.zeros(7).long(), **filters,
    )  # fmt: skip
    assert torch.equal(found.token, token)
    assert torch.equal(drawn(head, backend="triton", **filters, exclude_index=3).token, token)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_a_draw_depends_on_its_name_alone(backend, temperature):
    head = Head.random(15, 8, 300)
    options = {"temperature": temperature, "seed": 9, "backend": backend}
    states = head.hidden_states.view(3, 5, 8)
    whole = linear_sample(states, head.weight, **options).token
    # Rows of 2, 5 and 1 positions, flat and in another order.
    row, column = torch.tensor([2, 0, 1, 1, 1, 0, 1, 1]), torch.tensor([3, 1, 0, 4, 2, 0, 1, 3])
    part = linear_sample(states[row, column], head.weight, **options, row_ids=row, positions=column).token
    assert torch.equal(part, whole[row, column])
    moved = linear_sample(
        states[1:, 2:], head.weight, **options, row_ids=torch.tensor([1, 2], dtype=torch.int32),
        positions=torch.arange(2, 5),
    )  # fmt: skip
    assert torch.equal(moved.token, whole[1:, 2:])
    if temperature:
        same = torch.zeros(3, 5, dtype=torch.int64)
        assert not torch.equal(linear_sample(states, head.weight, **options, row_ids=same).token, whole)
        assert not torch.equal(linear_sample(states, head.weight, **options, positions=same).token, whole)
        assert not torch.equal(linear_sample(states, head.weight, **options | {"seed": 10}).token, whole)


@pytest.mark.parametrize(("backend", "path"), WAYS)
def test_temperature_0_takes_the_lowest_of_the_most_likely(backend, path, take_kernel_path):
    take_kernel_path(path)
    weight = torch.zeros(700, 1)
    weight[[300, 301, 650]] = 4.0
    states = torch.ones(4, 1)
    found = linear_sample(states, weight, temperature=0, seed=0, backend=backend)
    assert found.token.tolist() == [300] * 4
    assert linear_sample(states, weight, temperature=0, seed=0, backend=backend, exclude_index=300).token[0] == 301
    stats = linear_token_stats(states, weight)
    torch.testing.assert_close(found.log_prob, stats.max_log_prob, rtol=1e-6, atol=0)
    torch.testing.assert_close(found.entropy, stats.entropy, rtol=1e-5, atol=0)


@pytest.mark.parametrize(("backend", "path"), WAYS)
@pytest.mark.parametrize("winner", [0, 257, 699])
def test_log_probability_and_entropy_keep_their_digits_near_certainty(backend, path, winner, take_kernel_path):
    take_kernel_path(path)
    logits = torch.linspace(-1, 1, 700, dtype=torch.float64).repeat(3, 1)
    logits[:, winner] = torch.tensor([20.0, 40.0, 80.0])
    # Column r of the weight is row r's logits.
    found = linear_sample(torch.eye(3), logits.t().float(), temperature=0.5, seed=1, backend=backend)
    assert found.token.tolist() == [winner] * 3
    others = logits.float().double().index_fill(1, torch.tensor([winner]), -torch.inf)
    gap = logits[:, winner].float().double()
    odds = (others.logsumexp(1) - gap).exp()
    torch.testing.assert_close(found.log_prob.double(), -odds.log1p(), rtol=1e-5, atol=0)
    centred = torch.where(others.isinf(), 0.0, others - gap[:, None])
    weighted = (centred * (others - gap[:, None]).exp()).sum(1)
    torch.testing.assert_close(found.entropy.double(), odds.log1p() - weighted / (1 + odds), rtol=1e-5, atol=0)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("filters", [{}, {"top_k": 2}])
def test_nothing_and_one_are_drawn_too(backend, filters):
    options = {"temperature": 1.0, "seed": 0, "backend": backend, **filters}
    assert [value.shape for value in linear_sample(torch.ones(2, 0, 4), torch.ones(6, 4), **options)] == [(2, 0)] * 3
    one = linear_sample(torch.ones(4), torch.ones(1, 4), **options)
    assert (one.token, one.log_prob, one.entropy) == (0, 0, 0)


def test_no_gradient_flows_and_the_graph_is_whole():
    head = Head.random(6, 8, 40).trainable("hidden_states", "weight")

    def draw(states, row_ids):
        return linear_sample(states.view(2, 3, 8), head.weight, temperature=0.9, seed=3, row_ids=row_ids).token

    found = torch.compile(draw, fullgraph=True, backend="eager")(head.hidden_states, torch.tensor([4, 5]))
    assert torch.equal(found, draw(head.hidden_states, torch.tensor([4, 5])))
    assert not any(value.requires_grad for value in drawn(head))


def test_a_workspace_that_is_too_small_is_named():
    head = Head.random(6, 8, 4000)
    for options in ({}, {"top_k": 3}, {"backend": "triton"}):
        with pytest.raises(
            ValueError, match=r"^linear_sample: workspace_bytes must be at least (\d+) .* got 999\.$"
        ) as error:
            drawn(head, workspace_bytes=999, **options)
        least = int(str(error.value).split("at least ")[1].split(" ")[0])
        assert torch.equal(drawn(head, workspace_bytes=least, **options).token, drawn(head, **options).token)
        with pytest.raises(ValueError, match="at least"):
            drawn(head, workspace_bytes=least - 1, **options)
