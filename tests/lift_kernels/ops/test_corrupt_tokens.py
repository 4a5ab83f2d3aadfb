"""`corrupt_tokens`: the definition, its invariances, its statistics, its errors, and torch.compile."""

from __future__ import annotations

import importlib
from unittest import mock

import pytest
import torch

from lift_kernels import reference
from lift_kernels.fallback import corruption
from lift_kernels.ops.corrupt_tokens import CorruptedTokens, corrupt_tokens

MASK = 99


@pytest.fixture(scope="module", params=["torch", "triton"])
def backend(request):
    if request.param == "triton":
        pytest.importorskip("triton")
    return request.param


@pytest.fixture(scope="module")
def device(backend, kernel_device):
    return kernel_device if backend == "triton" else torch.device("cpu")


@pytest.fixture(scope="module")
def corrupt(backend, device):
    """`corrupt_tokens` on each backend, from and to the CPU."""

    def call(*tensors, **options):
        moved = {
            name: value.to(device) if isinstance(value, torch.Tensor) else value for name, value in options.items()
        }
        result = corrupt_tokens(*(tensor.to(device) for tensor in tensors), **moved, backend=backend)
        return CorruptedTokens(*(tensor.cpu() for tensor in result))

    return call


def batch(rows=6, length=11, dtype=torch.int64):
    return torch.randint(0, MASK, (rows, length), dtype=dtype)


@pytest.mark.parametrize("ids_dtype", [torch.int64, torch.int32])
@pytest.mark.parametrize("prob_dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("per_token", [False, True], ids=["per row", "per token"])
@pytest.mark.parametrize("optional", [False, True], ids=["defaults", "maskable and row ids"])
@pytest.mark.parametrize("shape", [(6, 11), (1, 1), (0, 5), (3, 0)], ids=str)
def test_equals_the_definition(corrupt, ids_dtype, prob_dtype, per_token, optional, shape):
    input_ids = batch(*shape, dtype=ids_dtype)
    mask_prob = torch.rand(shape if per_token else shape[:1]).to(prob_dtype)
    options = {"mask_token_id": MASK, "seed": 2**40 + 3}
    if optional:
        options |= {"maskable": torch.rand(shape) < 0.7, "row_ids": torch.randint(-(2**50), 2**50, shape[:1])}
    before = input_ids.clone()
    result = corrupt(input_ids, mask_prob, **options)
    expected_ids, expected_mask = reference.corrupt_tokens(input_ids, mask_prob, **options)
    assert result.input_ids.equal(expected_ids) and result.input_ids.dtype == ids_dtype
    assert result.is_masked.equal(expected_mask) and result.is_masked.dtype == torch.bool
    assert input_ids.equal(before)


def test_transposed_inputs_equal_contiguous_ones(corrupt):
    input_ids, mask_prob, maskable = batch().T, torch.rand(6, 11).T, (torch.rand(6, 11) < 0.5).T
    result = corrupt(input_ids, mask_prob, mask_token_id=MASK, seed=1, maskable=maskable)
    copies = (input_ids.contiguous(), mask_prob.contiguous())
    expected = corrupt(*copies, mask_token_id=MASK, seed=1, maskable=maskable.contiguous())
    assert result.input_ids.is_contiguous() and result.is_masked.is_contiguous()
    assert result.input_ids.equal(expected.input_ids) and result.is_masked.equal(expected.is_masked)


def test_threshold_is_strict_and_float32(corrupt):
    uniform = torch.tensor([[(reference.random_word(5, 0, i, 0) >> 8) / 2**24 for i in range(64)]])
    input_ids = batch(1, 64)
    options = {"mask_token_id": MASK, "seed": 5}
    assert not corrupt(input_ids, uniform, **options).is_masked.any()
    assert corrupt(input_ids, uniform.nextafter(torch.tensor(2.0)), **options).is_masked.all()
    # As a float64 this threshold is above the uniform; rounded to float32 it is the uniform. The other is rounded up.
    assert not corrupt(input_ids, uniform.double() * (1 + 2**-30), **options).is_masked.any()
    below_next = uniform.nextafter(torch.tensor(2.0)).double() * (1 - 2**-30)
    assert corrupt(input_ids, below_next, **options).is_masked.all()


def test_probabilities_at_and_beyond_the_ends(corrupt):
    mask_prob = torch.tensor([0.0, -0.0, 1.0, 1.00098, torch.inf])
    is_masked = corrupt(batch(5, 500), mask_prob, mask_token_id=MASK, seed=3).is_masked
    assert is_masked.all(-1).tolist() == is_masked.any(-1).tolist() == [False, False, True, True, True]


def test_what_is_no_probability_masks_nothing_where_it_is_not_read(backend, device):
    """As on an accelerator; on the CPU it is refused."""
    mask_prob = torch.tensor([-0.5, torch.nan], device=device)
    op = torch.ops.lift_kernels.corrupt_tokens.default
    assert not op(batch(2, 500).to(device), mask_prob, None, None, MASK, 3, backend)[1].any()


def test_rows_of_one_id_draw_the_same(corrupt):
    """As a row that comes twice, to fill up the last batch, should."""
    ids = torch.tensor([5, 6, 5])
    is_masked = corrupt(batch(3, 60), torch.full((3,), 0.5), mask_token_id=MASK, seed=3, row_ids=ids).is_masked
    assert is_masked[0].equal(is_masked[2]) and not is_masked[0].equal(is_masked[1])


def test_output_shares_no_memory_with_the_input(corrupt):
    input_ids = batch()
    corrupt(input_ids, torch.zeros(6), mask_token_id=MASK, seed=0).input_ids.fill_(-1)
    assert (input_ids >= 0).all()


def test_masks_depend_on_row_id_and_position_alone(corrupt):
    input_ids, mask_prob, row_ids = batch(40, 24), torch.rand(40, 24), torch.randint(0, 2**40, (40,))
    options = {"mask_token_id": MASK, "seed": 11}
    whole = corrupt(input_ids, mask_prob, row_ids=row_ids, **options)
    part = torch.randperm(40)[:13]  # other rows, in another order
    some = corrupt(input_ids[part], mask_prob[part], row_ids=row_ids[part], **options)
    assert some.is_masked.equal(whole.is_masked[part]) and some.input_ids.equal(whole.input_ids[part])
    short = corrupt(input_ids[:, :10], mask_prob[:, :10], row_ids=row_ids, **options)
    assert short.is_masked.equal(whole.is_masked[:, :10])


def test_default_row_ids_count_from_zero(corrupt):
    input_ids, mask_prob = batch(), torch.rand(6)
    default = corrupt(input_ids, mask_prob, mask_token_id=MASK, seed=2)
    counted = corrupt(input_ids, mask_prob, mask_token_id=MASK, seed=2, row_ids=torch.arange(6))
    assert default.is_masked.equal(counted.is_masked)


def test_another_seed_gives_other_masks(corrupt):
    input_ids, mask_prob = batch(4, 200), torch.full((4,), 0.5)
    first, second = (corrupt(input_ids, mask_prob, mask_token_id=MASK, seed=s).is_masked for s in (0, 1))
    assert 0.4 < (first == second).double().mean() < 0.6


@pytest.mark.parametrize("mask_prob", [0.001, 0.15, 0.5, 0.9])
def test_masked_share_is_the_probability(mask_prob):
    count = 400 * 500
    is_masked = corrupt_tokens(batch(400, 500), torch.full((400,), mask_prob), mask_token_id=MASK, seed=1).is_masked
    deviation = (count * mask_prob * (1 - mask_prob)) ** 0.5
    assert abs(is_masked.sum() - count * mask_prob) < 4 * deviation
    # The spread between rows is that of independent tokens as well.
    assert is_masked.sum(-1).double().var() == pytest.approx(500 * mask_prob * (1 - mask_prob), rel=0.3)


def test_takes_no_gradient(corrupt):
    result = corrupt(batch(), torch.rand(6, requires_grad=True), mask_token_id=MASK, seed=0)
    assert not result.is_masked.requires_grad and not result.input_ids.requires_grad


def test_reads_no_value_back():
    """Meta tensors have no values: any read, which on an accelerator would synchronise, raises."""
    ids, prob, maskable = (
        batch().to("meta"),
        torch.rand(6, device="meta"),
        torch.ones(6, 11, device="meta") > 0,
    )
    result = corruption.corrupt_tokens(ids, prob, maskable, torch.arange(6, device="meta"), MASK, 1)
    public = corrupt_tokens(ids, prob, mask_token_id=MASK, seed=1, maskable=maskable)
    assert [t.shape for t in result] == [t.shape for t in public] == [ids.shape] * 2


def test_runs_on_the_backend_asked_for(corrupt, backend, monkeypatch):
    folder = {"torch": "fallback", "triton": "kernels"}[backend]
    module = importlib.import_module(f"lift_kernels.{folder}.corruption")
    spy = mock.Mock(wraps=module.corrupt_tokens)
    monkeypatch.setattr(module, "corrupt_tokens", spy)
    corrupt(batch(), torch.rand(6), mask_token_id=MASK, seed=0)
    spy.assert_called_once()


def test_registered_op_passes_opcheck(backend, device):
    op = torch.ops.lift_kernels.corrupt_tokens.default
    ids, prob = batch().to(device), torch.rand(6, 11, device=device)
    torch.library.opcheck(op, (ids, prob[:, 0], None, None, MASK, 2**63 - 1, backend))
    flipped = (ids.T, prob.T, prob.T < 0.5, torch.arange(11, device=device), MASK, 0, backend)
    torch.library.opcheck(op, flipped)


def test_compiled_equals_eager(backend, device):
    def masked(input_ids, mask_prob, seed):
        return corrupt_tokens(input_ids, mask_prob, mask_token_id=MASK, seed=seed, backend=backend)

    compiled = torch.compile(masked, fullgraph=True, backend="aot_eager")
    for seed, length in ((3, 8), (4, 8), (2**62, 13)):  # a new seed and a new length: symbolic from here on
        arguments = (batch(5, length).to(device), torch.rand(5, device=device, requires_grad=True), seed)
        for mine, expected in zip(compiled(*arguments), masked(*arguments), strict=True):
            assert mine.equal(expected)


def call(**change):
    arguments = {
        "input_ids": torch.zeros(2, 3).long(),
        "mask_prob": torch.ones(2),
        "mask_token_id": 1,
        "seed": 0,
    }
    arguments |= change
    corrupt_tokens(arguments.pop("input_ids"), arguments.pop("mask_prob"), **arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input_ids": [[1]]}, "input_ids must be a torch.Tensor, got list. Make one"),
        ({"input_ids": torch.zeros(2, 3)}, "input_ids must be int64 or int32, got float32"),
        ({"mask_prob": 0.5}, "mask_prob must be a torch.Tensor, got float. Make one"),
        ({"mask_prob": torch.ones(2).long()}, "mask_prob must be float32 or .*got int64"),
        ({"maskable": torch.ones(2, 3)}, "maskable must be bool, got float32"),
        ({"row_ids": torch.ones(2)}, "row_ids must be int64 or int32, got float32"),
        ({"seed": 1.0}, "seed must be an int, got float"),
        ({"seed": True}, "seed must be an int, got bool"),
        ({"mask_token_id": None}, "mask_token_id must be an int, got NoneType"),
    ],
)
def test_type_errors(change, message):
    with pytest.raises(TypeError, match=f"^corrupt_tokens: {message}"):
        call(**change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input_ids": torch.zeros(3).long()}, r"input_ids must have shape \(B, L\), got \(3,\)"),
        ({"mask_prob": torch.tensor([0.5, -0.5])}, r"mask_prob\[1\] must be a probability, 0 or more, got -0.5"),
        ({"mask_prob": torch.tensor([[1, 1, torch.nan]] * 2)}, r"mask_prob\[0, 2\] must be a probability, .*got nan"),
        ({"mask_prob": torch.ones(3)}, r"mask_prob must have shape \(2,\) to match input_ids \(2, 3\)"),
        ({"mask_prob": torch.ones(2, 1)}, r"mask_prob must have shape \(2, 3\) .*got \(2, 1\)"),
        ({"maskable": torch.ones(2, 4) > 0}, r"maskable must have shape \(2, 3\)"),
        ({"row_ids": torch.arange(3)}, r"row_ids must have shape \(2,\)"),
        ({"row_ids": torch.arange(2, device="meta")}, "row_ids must be on cpu like input_ids, got meta"),
        ({"seed": -1}, r"seed must lie in \[0, 9223372036854775808\), got -1"),
        ({"seed": 2**63}, r"seed must lie in \[0, 9223372036854775808\), got 9223372036854775808"),
        ({"mask_token_id": -1}, "mask_token_id must lie in .*got -1"),
        ({"input_ids": torch.zeros(2, 3).int(), "mask_token_id": 2**31}, "mask_token_id must lie in"),
        ({"backend": "cuda"}, "backend must be one of"),
    ],
)
def test_value_errors(change, message):
    with pytest.raises(ValueError, match=f"^corrupt_tokens: {message}"):
        call(**change)


def test_asking_for_triton_says_why_it_cannot_run(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(
        RuntimeError, match=r"^corrupt_tokens: backend='triton' cannot run on cpu: .* Use backend='auto'"
    ):
        call(backend="triton")
