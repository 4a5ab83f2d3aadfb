"""The random bits: published vectors, the definition, and plain statistics."""

from __future__ import annotations

import pytest
import torch

from lift_kernels import reference
from lift_kernels.philox import entry_words, gumbel_noise, open_uniforms, philox_4x32, random_words, uniforms

ONES = 0xFFFFFFFF

# (key low, high), counter, output: the philox4x32-10 lines of the known-answer file of Random123.
KNOWN_ANSWERS = {
    "zeros": ((0, 0), (0, 0, 0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    "ones": ((ONES, ONES), (ONES,) * 4, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    "pi": (
        (0xA4093822, 0x299F31D0),
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
}


@pytest.mark.parametrize(("key", "counter", "answer"), KNOWN_ANSWERS.values(), ids=KNOWN_ANSWERS)
def test_published_vectors(key, counter, answer):
    assert reference.philox_4x32(key, counter) == answer
    words = philox_4x32(key[0] + (key[1] << 32), *(torch.tensor([[c]]) for c in counter))
    assert [word.item() for word in words] == list(answer)


def test_the_default_device_of_a_program_plays_no_part():
    words = philox_4x32(3, torch.tensor([7]), 5, torch.tensor([1]), 0)
    with torch.device("meta"):
        assert all(
            map(
                torch.equal,
                philox_4x32(3, torch.tensor([7], device="cpu"), 5, torch.tensor([1], device="cpu"), 0),
                words,
            )
        )


def test_words_equal_the_definition():
    row_ids = [0, 1, 2**31, 2**32 - 1, 2**40 + 7, 2**63 - 1, -1, -(2**33) - 5]
    for seed in (0, 1, 2**31, 2**32 + 5, 2**63 - 1):
        for stream in (0, 1):
            expected = [[reference.random_word(seed, row, i, stream) for i in range(9)] for row in row_ids]
            assert random_words(seed, torch.tensor(row_ids), 9, stream).tolist() == expected


def test_int32_and_int64_row_ids_draw_alike():
    row_ids = torch.tensor([0, 5, -3])
    assert random_words(4, row_ids.int(), 6, 0).equal(random_words(4, row_ids, 6, 0))


def test_uniforms_are_exact_and_below_one():
    words = torch.tensor([0, 255, 256, 2**31, 2**32 - 1])
    assert uniforms(words).dtype == torch.float32
    assert uniforms(words).tolist() == [0.0, 0.0, 2.0**-24, 0.5, 1 - 2.0**-24]


@pytest.mark.parametrize("shift", [24, 16, 8, 0])
def test_each_byte_is_uniform(shift):
    words = random_words(7, torch.arange(512), 512, stream=0)
    counts = torch.bincount((words >> shift & 255).flatten(), minlength=256).double()
    assert_chi_square(counts)


@pytest.mark.parametrize("neighbour", ["position", "row", "stream", "seed", "high half of the row id"])
def test_neighbours_are_independent(neighbour):
    rows = torch.arange(513)
    words = random_words(7, rows, 513, stream=0)
    first, second = {
        "position": (words[:, :-1], words[:, 1:]),
        "row": (words[:-1], words[1:]),
        "stream": (words, random_words(7, rows, 513, stream=1)),
        "seed": (words, random_words(8, rows, 513, stream=0)),
        "high half of the row id": (words, random_words(7, rows + 2**32, 513, stream=0)),
    }[neighbour]
    pairs = (first >> 28) * 16 + (second >> 28)  # the four top bits of both
    assert_chi_square(torch.bincount(pairs.flatten(), minlength=256).double())


def assert_chi_square(counts):
    """The counts fit equal shares within 5 standard deviations: neither uneven nor too even to be random."""
    expected = counts.mean()
    degrees = len(counts) - 1
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert abs(chi_square - degrees) < 5 * (2 * degrees) ** 0.5


def test_entry_words_and_their_noise_equal_the_definition():
    row_ids, positions = torch.tensor([0, 2**40 + 7, -5]), torch.tensor([3, 2**32 - 1, 0])
    for seed in (0, 2**63 - 1):
        words = entry_words(seed, row_ids[:, None], positions[:, None], torch.arange(3))
        expected = [
            [reference.entry_noise(seed, row, position, v) for v in range(12)]
            for row, position in zip(row_ids.tolist(), positions.tolist(), strict=True)
        ]
        found = gumbel_noise(words.flatten(1))
        torch.testing.assert_close(found.double(), torch.tensor(expected, dtype=torch.float64), rtol=3e-7, atol=3e-7)


def test_noise_is_that_of_its_uniform_from_the_first_word_to_the_last():
    words = torch.cat(
        [torch.arange(0, 2**14) << 9, torch.arange(2**23 - 2**14, 2**23) << 9, torch.randint(2**32, (2**16,))]
    )
    u = ((words >> 9).double() + 0.5) / 2**23
    assert torch.equal(open_uniforms(words).double(), u)
    assert (gumbel_noise(words).double() + (-u.log()).log()).abs().max() < 1e-6  # of values up to 16.7: half a unit
