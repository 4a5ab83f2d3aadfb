"""`select_tokens`: the definition, its properties, recorded selections, its errors, and torch.compile."""

from __future__ import annotations

import importlib
import itertools
import json
import math
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from lift_kernels import checks, reference
from lift_kernels.fallback import selection
from lift_kernels.ops.select_tokens import registered_select_tokens, select_tokens
from lift_kernels.philox import random_words

EASY, HARD, ANY = 1, -1, 0
# Few values, so that ties are the rule.
NUMBERS = [-math.inf, -2.0, -1.0, -0.0, 0.0, 1.0, 2.0, math.inf]
DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]

quickly = settings(deadline=None, derandomize=True, database=None, max_examples=150)


@pytest.fixture(scope="module", params=["torch", "triton"])
def backend(request):
    if request.param == "triton":
        pytest.importorskip("triton")
    return request.param


@pytest.fixture(scope="module")
def device(backend, kernel_device):
    return kernel_device if backend == "triton" else torch.device("cpu")


@pytest.fixture(scope="module")
def select(backend, device):
    """`select_tokens` on each backend, from and to the CPU."""

    def call(*tensors, seed=0, row_ids=None):
        row_ids = None if row_ids is None else row_ids.to(device)
        moved = [tensor.to(device) for tensor in tensors]
        return select_tokens(*moved, seed=seed, row_ids=row_ids, backend=backend).cpu()

    return call


def select_unread(score, is_masked, num_keep, order, seed=None, row_ids=None, backend="torch"):
    """What an accelerator selects, whose scores are not read to see whether they are NaN."""
    return registered_select_tokens(score, is_masked, num_keep, order, seed, row_ids, backend)


@st.composite
def batches(draw, values=(*NUMBERS, math.nan, -math.nan), orders=(EASY, HARD, ANY)):
    """(score, is_masked, num_keep, order) of up to 4 rows of up to 9 positions."""
    rows, length = draw(st.integers(0, 4)), draw(st.integers(0, 9))

    def table(elements):
        return draw(st.lists(st.lists(elements, min_size=length, max_size=length), min_size=rows, max_size=rows))

    score = torch.tensor(table(st.sampled_from(values)), dtype=draw(st.sampled_from(DTYPES))).view(rows, length)
    is_masked = torch.tensor(table(st.booleans()), dtype=torch.bool).view(rows, length)
    integers = draw(st.sampled_from([torch.int64, torch.int32]))
    num_keep = torch.tensor([draw(st.integers(0, n)) for n in is_masked.sum(-1).tolist()], dtype=integers)
    order = torch.tensor([draw(st.sampled_from(orders)) for _ in range(rows)], dtype=integers)
    return score, is_masked, num_keep, order


@quickly
@given(batches(), st.integers(0, 2**63 - 1))
def test_equals_the_definition(batch, seed):
    is_kept = select_unread(*batch, seed=seed)
    assert is_kept.dtype == torch.bool and is_kept.is_contiguous()
    assert is_kept.equal(reference.select_tokens(*batch, seed=seed))


@quickly
@given(batches())
def test_keeps_exactly_num_keep_of_the_masked(batch):
    _, is_masked, num_keep, _ = batch
    is_kept = select_unread(*batch, seed=1)
    assert is_kept.sum(-1).equal(num_keep.long())
    assert not (is_kept & ~is_masked).any()


@quickly
@given(batches(orders=(EASY, HARD)))
def test_a_kept_token_beats_every_rejected_one(batch):
    score, is_masked, _, order = batch
    is_kept = select_unread(*batch)
    for b in range(len(order)):
        kept = is_kept[b].nonzero()[:, 0].tolist()
        rejected = (is_masked[b] & ~is_kept[b]).nonzero()[:, 0].tolist()
        for i, j in itertools.product(kept, rejected):
            mine, other = score[b, i].item(), score[b, j].item()
            better = mine > other if order[b] == EASY else mine < other
            tie = mine == other or (math.isnan(mine) and math.isnan(other))
            assert better or (tie and i < j) or (math.isnan(other) and not math.isnan(mine))


@quickly
@given(batches(), st.randoms())
def test_permuted_rows_give_permuted_results(batch, random):
    row_ids = torch.arange(len(batch[0])) * 2**33 - 5
    permutation = torch.tensor(random.sample(range(len(row_ids)), len(row_ids)), dtype=torch.int64)
    whole = select_unread(*batch, seed=3, row_ids=row_ids)
    permuted = select_unread(*(tensor[permutation] for tensor in batch), seed=3, row_ids=row_ids[permutation])
    assert permuted.equal(whole[permutation])


@quickly
@given(batches(values=NUMBERS))
def test_a_monotone_transform_changes_nothing(batch):
    score, *rest = batch
    is_kept = select_tokens(score, *rest, seed=3)
    assert select_tokens(score.double().exp() * 7 - 100, *rest, seed=3).equal(is_kept)


def test_ties_with_unmasked_positions_take_no_place(select):
    score = torch.tensor([[-torch.inf, -torch.inf, 0.0, -torch.inf]] * 2)
    is_masked = torch.tensor([[False, True, True, True]] * 2)
    is_kept = select(score, is_masked, torch.tensor([2, 1]), torch.tensor([EASY, HARD]))
    assert is_kept.tolist() == [[False, True, True, False], [False, True, False, False]]


@pytest.mark.parametrize("order", [EASY, HARD], ids=["easy", "hard"])
def test_ties_go_to_the_lower_position_in_long_rows(select, order):
    """Longer than what a sort that need not be stable handles by insertion."""
    is_kept = select(
        torch.arange(300)[None] % 2 * 1.0, torch.ones(1, 300) > 0, torch.tensor([200]), torch.tensor([order])
    )
    first = torch.arange(300) % 2 == (1 if order == EASY else 0)
    assert is_kept[0].equal(first | (torch.arange(300) < 100))


@pytest.mark.parametrize("order", [EASY, HARD], ids=["easy", "hard"])
def test_nan_of_either_sign_comes_last_where_it_is_not_read(backend, device, order):
    score = torch.tensor([[torch.nan, torch.inf, torch.nan, -torch.inf]])
    score[:, 2] = score[:, 2].copysign(torch.tensor(-1.0))
    others = [[torch.ones(1, 4) > 0, torch.tensor([k]), torch.tensor([order])] for k in (2, 3)]
    keep = [select_unread(*(x.to(device) for x in (score, *other)), backend=backend).cpu() for other in others]
    assert keep[0].tolist() == [[False, True, False, True]]
    assert keep[1].tolist() == [[True, True, False, True]]


def test_the_sort_key_has_no_sign_on_nan_or_zero():
    """A radix sort, as on CUDA, would put a negative nan first and may tell -0.0 from 0.0; the CPU's does not."""
    score = torch.tensor([[torch.nan, -torch.nan, 0.0, -0.0]] * 2)
    assert not selection._rising_key(score, torch.tensor([EASY, HARD]), None, None).signbit().any()


def test_scores_and_words_are_compared_to_the_last_bit(select):
    score = torch.tensor([[1.0, 1.0 + 2**-52]], dtype=torch.float64)
    everything, one = torch.ones(1, 2) > 0, torch.tensor([1])
    assert select(score, everything, one, torch.tensor([EASY])).tolist() == [[False, True]]
    words = random_words(0, torch.arange(1), 50_000, stream=1)
    ranked, positions = words[0].sort()
    is_close = (ranked[:-1].float() == ranked[1:].float()) & (positions[:-1] < positions[1:])
    low, high = positions[is_close.nonzero()[0, 0] + torch.arange(2)]  # alike in float32, the later one larger
    pair = torch.zeros(1, 50_000, dtype=torch.bool).index_fill(1, torch.stack([low, high]), True)
    is_kept = select(torch.zeros(1, 50_000), pair, one, torch.tensor([ANY]), seed=0)
    assert is_kept.nonzero().tolist() == [[0, int(high)]]


def test_random_subsets_are_all_equally_likely():
    rows = 10_000
    is_masked = torch.tensor([True, False, True, True, False, True, True]).expand(rows, 7)
    score = torch.arange(7.0).expand(rows, 7)  # must play no part
    is_kept = select_tokens(score, is_masked, torch.full((rows,), 2), torch.zeros(rows).long(), seed=6)
    subsets, counts = is_kept.unique(dim=0, return_counts=True)
    assert len(subsets) == 10  # pairs of 5
    chi_square = ((counts - rows / 10) ** 2 / (rows / 10)).sum()
    assert chi_square < 9 + 5 * 18**0.5  # 9 degrees of freedom


def test_random_rows_depend_on_seed_row_id_and_position_alone(select):
    row_ids = torch.randint(0, 2**40, (40,))
    is_masked, num_keep = torch.ones(40, 30) > 0, torch.full((40,), 15)
    order = torch.zeros(40).long()
    whole = select(torch.randn(40, 30), is_masked, num_keep, order, seed=6, row_ids=row_ids)
    part = torch.randperm(40)[:13]
    some = (is_masked[part], num_keep[part], order[part])
    assert select(torch.randn(13, 30), *some, seed=6, row_ids=row_ids[part]).equal(whole[part])
    other = select(torch.randn(13, 30), *some, seed=7, row_ids=row_ids[part])
    assert 0.4 < (other == whole[part]).double().mean() < 0.6


# Every recorded case with a selection; in the middle mode the score is the recorded uniform draw.
RECORDED = [
    "all_masked_top_a", "approx_bottom_a", "approx_top_a", "complementary_a", "empty_row_bottom_a",
    "half_rounding_bottom_a", "k_zero_row_bottom_a", "lift2_a", "lift2_tie_a", "lift3_bottom_a",
    "lift3_middle_a", "lift3_middle_equal_k_a", "lift3_mixed_rows_a", "lift3_random_policy_a", "lift3_top_a",
    "llada_block_a", "no_time_scaling_a", "shifted_flag_lift_bottom_a", "shifted_lift_bottom_a",
    "shifted_lift_middle_a", "t_at_eps_bottom_a", "t_at_eps_middle_a",
]  # fmt: skip


@pytest.mark.parametrize("case", RECORDED)
def test_recorded_selections(select, shared_dir, case):
    folder = shared_dir / "golden" / case
    tensors = load_file(folder / f"{case}.safetensors")
    facts = json.loads((folder / f"{case}.json").read_text())
    num_keep = torch.tensor(facts["n_kept_per_row"])
    is_masked = tensors["labels"] != -100
    if facts["mode"] == "vanilla":
        score, order, expected = tensors["draw_rand_scores"], EASY, tensors["kept_mask_exact"]
    else:
        score, expected = tensors["gold_logp"], tensors["kept_mask"]
        order = {"topk": EASY, "bottomk": HARD}[facts["mode"]]
    is_kept = select(score, is_masked, num_keep, torch.full_like(num_keep, order))
    assert is_kept.equal(expected)


def test_out_of_range_values_are_clamped_where_they_are_not_read():
    """What an accelerator does, as reading the values would synchronise; on the CPU they are refused."""
    score, is_masked = torch.tensor([[0.0, 2.0, 1.0]] * 4), torch.tensor([[True, True, False]] * 4)
    num_keep, order = torch.tensor([7, -1, 1, 1]), torch.tensor([1, 1, 9, -9])
    is_kept = selection.select_tokens(score, is_masked, num_keep, order, 0, None)
    assert is_kept.int().tolist() == [[1, 1, 0], [0, 0, 0], [0, 1, 0], [1, 0, 0]]


def test_reads_no_value_back():
    """Meta tensors have no values: any read, which on an accelerator would synchronise, raises."""
    score, is_masked = torch.zeros(3, 5, device="meta"), torch.ones(3, 5, device="meta") > 0
    counts = torch.ones(3, device="meta").long()
    result = selection.select_tokens(score, is_masked, counts, counts, 0, counts)
    assert result.shape == select_tokens(score, is_masked, counts, counts, seed=0).shape == (3, 5)


def test_takes_no_gradient(select):
    is_kept = select(torch.rand(1, 2, requires_grad=True), torch.ones(1, 2) > 0, *torch.ones(2, 1).long())
    assert not is_kept.requires_grad


def example(rows=3, length=7):
    is_masked = torch.rand(rows, length) < 0.6
    return torch.randn(rows, length), is_masked, is_masked.sum(-1) // 2, torch.arange(rows) % 3 - 1


def test_runs_on_the_backend_asked_for(select, backend, monkeypatch):
    folder = {"torch": "fallback", "triton": "kernels"}[backend]
    module = importlib.import_module(f"lift_kernels.{folder}.selection")
    spy = mock.Mock(wraps=module.select_tokens)
    monkeypatch.setattr(module, "select_tokens", spy)
    select(*example())
    spy.assert_called_once()


def test_registered_op_passes_opcheck(backend, device):
    op = torch.ops.lift_kernels.select_tokens.default
    score, is_masked, num_keep, order = (tensor.to(device) for tensor in example())
    torch.library.opcheck(op, (score, is_masked, num_keep, order, 2**63 - 1, torch.arange(3, device=device), backend))
    torch.library.opcheck(op, (score, is_masked, num_keep, torch.ones_like(order), None, None, backend))
    flipped = (score.T.contiguous().T, is_masked.T.contiguous().T)
    torch.library.opcheck(op, (*flipped, num_keep, order, 1, None, backend))


def test_compiled_equals_eager(backend, device):
    def kept(score, is_masked, num_keep, order, seed):
        return select_tokens(score * 2, is_masked, num_keep, order, seed=seed, backend=backend)

    compiled = torch.compile(kept, fullgraph=True, backend="aot_eager")
    for seed, length in ((3, 8), (4, 8), (2**62, 13)):  # a new seed and a new length: symbolic from here on
        score, *rest = (tensor.to(device) for tensor in example(5, length))
        arguments = (score.requires_grad_(), *rest, seed)
        assert compiled(*arguments).equal(kept(*arguments))
    if device.type != "cpu":
        return  # where no value is read back
    with pytest.raises(ValueError, match=r"^select_tokens: num_keep\[0\] must lie between 0 and 13, the number masked"):
        compiled(torch.ones(5, 13), torch.ones(5, 13) > 0, torch.full((5,), 14), torch.ones(5).long(), 5)


def call(**change):
    arguments = {
        "score": torch.zeros(2, 3),
        "is_masked": torch.tensor([[True, True, True], [True, False, True]]),
        "num_keep": torch.tensor([1, 1]),
        "order": torch.tensor([EASY, HARD]),
    }
    select_tokens(**arguments | change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score": None}, "score must be a torch.Tensor, got NoneType"),
        ({"score": torch.zeros(2, 3).long()}, "score must be float32 or .*got int64"),
        ({"is_masked": torch.ones(2, 3)}, "is_masked must be bool, got float32"),
        ({"num_keep": 1}, "num_keep must be a torch.Tensor, got int. Make one"),
        ({"num_keep": torch.ones(2)}, "num_keep must be int64 or int32, got float32"),
        ({"order": torch.ones(2)}, "order must be int64 or int32, got float32"),
        ({"row_ids": torch.ones(2) > 0}, "row_ids must be int64 or int32, got bool"),
        ({"seed": 0.5}, "seed must be an int, got float"),
    ],
)
def test_type_errors(change, message):
    with pytest.raises(TypeError, match=f"^select_tokens: {message}"):
        call(**change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score": torch.zeros(2, 4)}, r"score must have shape \(2, 3\) to match is_masked \(2, 3\), got"),
        ({"is_masked": torch.ones(3) > 0}, r"is_masked must have shape \(B, L\), got \(3,\)"),
        ({"num_keep": torch.tensor([1])}, r"num_keep must have shape \(2,\)"),
        ({"num_keep": torch.tensor([3, 3])}, r"num_keep\[1\] must lie between 0 and 2, .*got 3. Bound"),
        ({"num_keep": torch.tensor([-1, 0])}, r"num_keep\[0\] must lie between 0 and 3, .*got -1"),
        ({"order": torch.tensor([[1, 1]])}, r"order must have shape \(2,\)"),
        ({"order": torch.tensor([1, 2])}, r"order\[1\] must be 1 \(highest .*got 2"),
        ({"order": torch.tensor([-(2**63), 1])}, r"order\[0\] must be 1 .*got -9223372036854775808"),
        ({"order": torch.tensor([1, 0])}, r"seed must be given, as order\[1\] is 0 \(random\), got None"),
        ({"order": torch.ones(2, device="meta").long()}, "order must be on cpu like is_masked, got meta"),
        ({"row_ids": torch.arange(3)}, r"row_ids must have shape \(2,\)"),
        (
            {"score": torch.tensor([[0.0, 0, 0], [0, 0, torch.nan]])},
            r"score\[1, 2\] must not be NaN where it is read, got nan",
        ),
        ({"seed": -1}, r"seed must lie in \[0, 9223372036854775808\), got -1"),
        ({"backend": "cuda"}, "backend must be one of"),
    ],
)
def test_value_errors(change, message):
    with pytest.raises(ValueError, match=f"^select_tokens: {message}"):
        call(**change)


def test_a_seed_is_needed_where_order_is_not_read():
    with pytest.raises(ValueError, match=r"^select_tokens: seed must be given on cuda, where"):
        checks.check_seed_given("select_tokens", torch.device("cuda"))


def test_scores_that_are_not_read_may_be_nan():
    score, is_masked = torch.full((2, 3), torch.nan), torch.tensor([[True, False, False], [True, True, True]])
    score[0, 0] = 1.0  # the second row is random
    assert select_tokens(score, is_masked, torch.ones(2).long(), torch.tensor([EASY, ANY]), seed=0).sum() == 2


def test_rows_of_one_id_draw_the_same(select):
    everything, ids = torch.ones(4, 30) > 0, torch.tensor([5, 6, 5, 5])
    is_kept = select(torch.zeros(4, 30), everything, torch.full((4,), 15), torch.zeros(4).long(), seed=1, row_ids=ids)
    assert is_kept[0].equal(is_kept[2]) and is_kept[0].equal(is_kept[3]) and not is_kept[0].equal(is_kept[1])


def test_asking_for_triton_says_why_it_cannot_run(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(
        RuntimeError, match=r"^select_tokens: backend='triton' cannot run on cpu: .* Use backend='auto'"
    ):
        call(backend="triton")
