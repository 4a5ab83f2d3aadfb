"""What the loss of a step is divided by."""

from __future__ import annotations

import pytest
import torch

from lift.objectives import (
    NORMALIZERS,
    DenoisingBatch,
    Draws,
    LiftOptions,
    StepCounts,
    TrainingBatch,
    normalise,
    token_weights_and_denominator,
)

MASKABLE = torch.tensor([[True, True, True], [False, True, False], [False, False, False]])


def plain_counts(*maskables):
    return StepCounts.of(maskables, lambda counts: counts)


def test_a_row_counts_where_one_of_its_tokens_may_be_masked():
    asked = []

    def reduce(counts):
        asked.append(counts.tolist())
        return counts * 3  # as if two more processes had as many

    counts = StepCounts.of([MASKABLE, MASKABLE[:2, 1:]], reduce)
    assert asked == [[4 + 3, 2 + 2]]  # one call for both, in which the row without a token does not count
    assert (counts.tokens.item(), counts.rows.item()) == (21, 12)
    assert counts.tokens.dtype == counts.rows.dtype == torch.float32 and counts.tokens.dim() == 0


def test_the_counts_do_not_depend_on_how_a_step_is_split():
    rows = torch.rand(12, 9) < 0.2
    assert not rows.any(1).all()
    assert plain_counts(rows) == plain_counts(*rows.split(2)) == plain_counts(*rows.split(5))


@pytest.mark.parametrize("num_parts", [1, 3])
@pytest.mark.parametrize("normalizer", NORMALIZERS)
def test_the_parts_of_a_step_add_up_to_its_loss_by_definition(normalizer, num_parts):
    """Rows of 0 to 9 tokens that weigh differently, against loops over the rows of the whole step."""
    generator = torch.Generator().manual_seed(0)
    lengths = [0, 9, 2, 5, 0, 1]
    maskable = torch.arange(9) < torch.tensor(lengths)[:, None]
    terms = torch.rand(6, 9, generator=generator, dtype=torch.float64) * maskable
    weight = torch.rand(6, 9, generator=generator, dtype=torch.float64) + 0.5
    parts = [range(part * 6 // num_parts, (part + 1) * 6 // num_parts) for part in range(num_parts)]
    sums = [float((terms * weight)[row].sum()) for row in range(6)]
    truth = {
        "token": sum(sums) / 17,
        "sequence": sum(s / n for s, n in zip(sums, lengths, strict=True) if n) / 4,
        "batch": sum(sums) / 4,
        "micro_batch": sum(sum(sums[r] for r in part) / sum(lengths[r] for r in part) for part in parts) / num_parts,
        "trained": sum(sum(sums[r] for r in part) / sum((lengths[r] + 1) // 2 for r in part) for part in parts)
        / num_parts,
    }[normalizer]
    counts = plain_counts(*(maskable[list(part)] for part in parts))
    total = 0.0
    for part in parts:
        rows = list(part)
        own = torch.tensor(float(sum(lengths[row] for row in rows)))
        trained = torch.tensor(sum((lengths[row] + 1) // 2 for row in rows))
        token_weight, denominator = token_weights_and_denominator(
            normalizer, None, weight[rows], maskable[rows], counts, own, 1 / num_parts, num_trained=trained
        )
        total += ((terms[rows] * token_weight).sum() / denominator).item() / num_parts  # as the trainer averages
    assert total == pytest.approx(truth, rel=1e-6)


def test_gift_divides_by_what_it_drew_in_the_step_whatever_the_normaliser():
    drawn = MASKABLE & torch.tensor([True, False, True])
    weight = torch.rand(3, 3)
    batch = DenoisingBatch(drawn.long(), torch.where(drawn, 3, -100), weight, drawn.sum().float())
    prepared = TrainingBatch(batch, drawn, Draws(torch.ones(3), torch.ones(3)))
    counts = plain_counts(drawn, drawn, MASKABLE)
    for normalizer in NORMALIZERS:
        options = LiftOptions(method="gift", loss_normalizer=normalizer)
        found = normalise(prepared, options, counts, share=0.25).batch
        assert found.token_weight is weight
        assert found.denominator == (2 if normalizer == "micro_batch" else 8 * 0.25)
    nothing = prepared._replace(batch=batch._replace(denominator=torch.tensor(torch.nan)))  # a published division by 0
    assert normalise(nothing, LiftOptions(method="gift"), counts, share=0.25).batch.denominator.isnan()
    by_number = normalise(prepared, LiftOptions(method="gift", loss_denominator=6.0), counts, share=0.5).batch
    assert by_number.denominator == 3


@pytest.mark.parametrize("num_parts", [1, 2])
@pytest.mark.parametrize("views", [1, 2])
def test_trained_divides_each_micro_batch_by_its_own_labels(views, num_parts):
    """Of rows that differ in how many tokens are trained, one part without any; with second views too."""
    labels = torch.tensor([[3, -100, 3], [3, -100, -100], [-100] * 3, [-100] * 3]).repeat(1, views)
    maskable = torch.ones_like(labels, dtype=torch.bool)
    counts = plain_counts(*maskable.chunk(num_parts))
    found = [
        normalise(
            TrainingBatch(
                DenoisingBatch(part, part, torch.ones_like(part).float(), torch.tensor(9.0)), where, Draws(*torch.ones(2, 2))
            ), LiftOptions(method="sft", loss_normalizer="trained"), counts, share=1 / num_parts,
        ).batch
        for part, where in zip(labels.chunk(num_parts), maskable.chunk(num_parts), strict=True)
    ]  # fmt: skip
    assert [batch.denominator.item() for batch in found] == [3.0 * views, 1.0][:num_parts]
    assert all(torch.equal(batch.token_weight, torch.ones_like(batch.token_weight)) for batch in found)


def test_a_number_divides_by_itself_whatever_the_normalizer():
    weight = torch.rand(3, 3)
    for normalizer in NORMALIZERS:
        same, denominator = token_weights_and_denominator(
            normalizer,
            7.0,
            weight,
            MASKABLE,
            plain_counts(MASKABLE),
            torch.tensor(4.0),
            0.25,
            num_trained=torch.tensor(2),
        )
        assert same is weight and denominator == 7 * 0.25 and denominator.dtype == torch.float32


@pytest.mark.parametrize("normalizer", ["token", "sequence", "batch", "trained"])
def test_a_step_without_a_token_divides_by_one(normalizer):
    nothing = torch.zeros_like(MASKABLE)
    weight, denominator = token_weights_and_denominator(
        normalizer, None, torch.ones(3, 3), nothing, plain_counts(nothing), torch.tensor(1.0), 1.0,
        num_trained=torch.tensor(0),
    )  # fmt: skip
    assert denominator == 1 and torch.equal(weight, torch.ones(3, 3))
