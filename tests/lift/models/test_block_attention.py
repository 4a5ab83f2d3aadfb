from __future__ import annotations

import pytest
import torch

from lift.models.block_attention import noisy_and_clean_pairs
from lift.objectives.blocks import Blocks


def expected(blocks: Blocks, query: int, key: int) -> bool:
    """The rule as it is written in words."""
    length = blocks.number.shape[1]
    (q_block, k_block), (q_doc, k_doc) = (
        [values[0, place % length].item() for place in (query, key)] for values in (blocks.number, blocks.document)
    )
    if q_doc != k_doc:
        return False
    is_noisy_query, is_noisy_key = query < length, key < length
    if is_noisy_key:
        return is_noisy_query and q_block == k_block
    return q_block > k_block if is_noisy_query else q_block >= k_block


@pytest.mark.parametrize(
    "blocks",
    [
        Blocks.of_rows(1, 8, 4), Blocks.of_rows(1, 7, 4), Blocks.of_rows(1, 5, 5), Blocks.of_rows(1, 3, 1),
        Blocks.of_documents(torch.tensor([[0, 1, 2, 0, 1, 2, 3, 4, 0, 0]]), torch.tensor([8]), 2),
    ],
)  # fmt: skip
def test_who_sees_whom(blocks):
    pairs = noisy_and_clean_pairs(blocks)
    length = 2 * blocks.number.shape[1]
    assert pairs.shape == (1, 1, length, length)
    rule = [[expected(blocks, query, key) for key in range(length)] for query in range(length)]
    assert pairs[0, 0].tolist() == rule


def test_the_share_of_pairs():
    """1/4 + 1/(4 n) of n whole blocks."""
    pairs = noisy_and_clean_pairs(Blocks.of_rows(1, 32, 4))
    assert pairs.float().mean() == 0.25 + 1 / (4 * 8)


def test_padding_is_seen_by_itself_alone():
    is_token = torch.tensor([[1] * 5 + [0] * 3, [1] * 8])
    blocks = Blocks.of_rows(2, 8, 4)
    pairs, all_pairs = noisy_and_clean_pairs(blocks, is_token)[:, 0], noisy_and_clean_pairs(blocks)[:, 0]
    assert torch.equal(pairs[1], all_pairs[1])
    for pad in (5, 6, 7, 13, 14, 15):
        assert pairs[0, :, pad].nonzero().flatten().tolist() == [pad]
    tokens = [0, 1, 2, 3, 4, 8, 9, 10, 11, 12]
    assert torch.equal(pairs[0][tokens][:, tokens], all_pairs[0][tokens][:, tokens])
