"""End tokens: what ends a row that the data preparation builds ends an answer too."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from lift.data import cut_at_end, end_token_ids, prepare_dataset
from tests.lift.support.tiny import prose_tokenizer

ROLES = "{% for m in messages %}{{ '<user>' if m.role == 'user' else '<assistant>' }}{{ m.content }}"


def chat(turn_end: str, **tokens):
    tokenizer = prose_tokenizer()
    tokenizer.chat_template = ROLES + turn_end + "{% endfor %}"
    for name, token in tokens.items():
        setattr(tokenizer, name, token)
    return tokenizer


@pytest.mark.parametrize(
    ("tokenizer", "ends"),
    [
        (chat(""), {"[EOS]"}),
        (chat("[UNK]\n"), {"[EOS]", "[UNK]"}),  # a control token of the template's own
        (chat("\n[UNK]"), {"[EOS]", "[UNK]"}),
        (chat("\n"), {"[EOS]"}),
        (chat("[UNK]", eos_token=None), {"[UNK]"}),
        (chat("", eos_token=None, sep_token="[UNK]"), {"[UNK]"}),
        (chat("", sep_token="[UNK]"), {"[EOS]"}),  # a separator behind the prompt ends no row
        (chat("", eos_token=None), {"[PAD]"}),
        (chat("{{ raise_exception('no') }}"), {"[EOS]"}),
    ],
)
def test_the_tokens_that_end_an_answer(tokenizer, ends):
    assert end_token_ids(tokenizer) == set(tokenizer.convert_tokens_to_ids(sorted(ends)))


def test_the_generation_configuration_may_name_others():
    tokenizer, eos = chat(""), 1
    for named, ends in ((None, {eos}), (7, {eos, 7}), ([7, 9], {eos, 7, 9}), ([], {eos})):
        assert end_token_ids(tokenizer, SimpleNamespace(eos_token_id=named)) == ends
    assert end_token_ids(tokenizer, SimpleNamespace()) == {eos}


@pytest.mark.parametrize("template", [None, ROLES + "{% if m.role == 'assistant' %}[EOS]{% endif %}{% endfor %}"])
def test_the_rows_of_the_training_end_there(template):
    tokenizer = prose_tokenizer()
    tokenizer.chat_template = template
    (row,) = prepare_dataset([{"prompt": "q", "completion": "ab"}], tokenizer, max_length=20, show_progress=False)
    response = cut_at_end(row["input_ids"][row["prompt_length"] :], end_token_ids(tokenizer))
    assert len(response) < len(row["input_ids"]) - row["prompt_length"]
    assert tokenizer.decode(response, skip_special_tokens=True) == "ab"


def test_a_response_is_cut_at_its_first_end():
    assert cut_at_end([5, 6, 2, 7, 3], {2, 3}) == [5, 6]
    assert cut_at_end([2, 5], {2}) == [] and cut_at_end([5, 6], {2}) == [5, 6] and cut_at_end([], {2}) == []
