"""Texts of a harness as token ids."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from lift.evaluation.encoding import cut_at_stop, encode_context, encode_pair, windows
from tests.lift.support.tiny import prose_tokenizer


def merging_tokenizer(**options):
    """Joins "b" and "c", a space and "b", and nothing else."""
    vocab = {"[CLS]": 0, "[SEP]": 1, "a": 2, "b": 3, "c": 4, " ": 5, "bc": 6, " b": 7, "[UNK]": 8}
    tokenizer = Tokenizer(models.BPE(vocab, [("b", "c"), (" ", "b")], unk_token="[UNK]"))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]", **options)


@pytest.mark.parametrize(
    ("context", "continuation", "expected"),
    [
        ("a", "c", ([2], [4])),
        ("ab", "ca", ([2], [6, 2])),  # a token across the cut is to be scored
        ("a ", "b", ([2], [7])),  # and so is the space before a word
        ("a", " b", ([2], [7])),
        ("", "ab", ([], [2, 3])),
        ("ab", "", ([2, 3], [])),
    ],
)
def test_a_pair_is_cut_where_the_continuation_begins(context, continuation, expected):
    assert encode_pair(context, continuation, merging_tokenizer(), is_rendered=False) == expected


def test_the_token_that_begins_every_text_stands_before_a_pair():
    tokenizer = merging_tokenizer(cls_token="[CLS]", sep_token="[SEP]")
    assert encode_pair("a", "c", tokenizer, is_rendered=False) == ([0, 2], [4])
    assert encode_pair("", "c", tokenizer, is_rendered=False) == ([0], [4])
    assert encode_pair("a", "c", tokenizer, is_rendered=True) == ([2], [4])


def test_a_prompt_is_encoded_as_in_training():
    tokenizer = merging_tokenizer(cls_token="[CLS]", sep_token="[SEP]")
    assert encode_context("ac", tokenizer, is_rendered=False) == [0, 2, 4, 1]
    prose = prose_tokenizer()
    user, assistant = prose.convert_tokens_to_ids(["<user>", "<assistant>"])
    assert encode_context("<user>a<assistant>", prose, is_rendered=True) == [user, *prose("a")["input_ids"], assistant]


@pytest.mark.parametrize("length", [0, 1, 9, 10, 11, 15, 16, 47])
def test_windows_score_each_token_once_behind_what_comes_before(length):
    ids, found = list(range(length)), windows(list(range(length)), 10)
    assert [token for _, scored in found for token in scored] == ids
    for context, scored in found:
        assert len(context) + len(scored) <= 10
        assert context == ids[max(0, scored[0] - 5) : scored[0]] if scored[0] else not context


def test_an_answer_ends_at_the_first_of_its_stop_strings():
    assert cut_at_stop("one two three", ["three", "two", ""]) == "one "
    assert cut_at_stop("one two", "two") == "one "
    assert cut_at_stop("one", []) == cut_at_stop("one", None) == "one"
