"""Rows longer than the model has positions are refused before the first step, padding included."""

from __future__ import annotations

import logging

import pytest
import torch
from datasets import Dataset
from transformers import BertConfig, BertForMaskedLM, RobertaConfig, RobertaForMaskedLM

from lift import LiftError, LiftTrainer, pack_dataset
from lift.tasks import sudoku
from lift.training.row_lengths import longest_row
from tests.doubles.llada import LLaDAConfig, LLaDAModelLM
from tests.lift.support.tiny import tiny_config, tiny_model
from tests.transformers_version import needs_packing

LIMIT = 9


def rows(*lengths: int) -> list[dict]:
    return [{"input_ids": [2] * n, "prompt_length": 1, "example_id": i} for i, n in enumerate(lengths)]


def bert_like(kind, config, positions: int):
    sizes = {
        "vocab_size": 8,
        "hidden_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
        "intermediate_size": 8,
    }
    return kind(config(**sizes, max_position_embeddings=positions, pad_token_id=0))


def bert():
    return bert_like(BertForMaskedLM, BertConfig, LIMIT)


def trainer(tmp_path, model, train, evaluation=None, **options):
    return LiftTrainer(
        model=model, args=tiny_config(tmp_path, max_steps=1, **options), train_dataset=train, eval_dataset=evaluation,
        processing_class=sudoku.build_tokenizer(),
    )  # fmt: skip


FITS, TOO_LONG = rows(3, LIMIT, 5), rows(3, 5, LIMIT + 1)
OF_TRAINING = rf"the longest row of train_dataset has {LIMIT + 1} tokens, and the model has {LIMIT} positions"


@pytest.mark.parametrize("as_data", [list, Dataset.from_list], ids=["list", "Dataset"])
def test_the_longest_row_must_fit_whatever_max_length_is(tmp_path, as_data):
    trainer(tmp_path, bert(), as_data(FITS), as_data(FITS), max_length=512).train()
    remedy = rf"{OF_TRAINING} \(max_position_embeddings\): set max_length to at most {LIMIT}"
    with pytest.raises(LiftError, match=remedy):
        trainer(tmp_path, bert(), as_data(TOO_LONG))
    with pytest.raises(LiftError, match="the longest row of eval_dataset has 10 tokens"):
        trainer(tmp_path, bert(), as_data(FITS), as_data(TOO_LONG))
    with pytest.raises(LiftError, match=r"the longest row of eval_dataset\['b'\] has 10 tokens"):
        trainer(tmp_path, bert(), as_data(FITS), {"a": as_data(FITS), "b": as_data(TOO_LONG)})


def test_what_a_batch_is_padded_to_must_fit_too(tmp_path):
    for options in ({"pad_to": "max_length", "max_length": 12}, {"pad_to_multiple_of": 6}):
        with pytest.raises(LiftError, match=rf"rows of train_dataset are padded to 12 tokens, .* {LIMIT} positions"):
            trainer(tmp_path, bert(), FITS, **options)
    trainer(tmp_path, bert(), FITS, pad_to="max_length", max_length=LIMIT, pad_to_multiple_of=3).train()


def test_positions_before_the_first_do_not_count(tmp_path):
    for pad_in_loss in (True, False):
        model = bert_like(RobertaForMaskedLM, RobertaConfig, LIMIT + 1)  # starts behind its pad token, 0
        trainer(tmp_path, model, FITS, pad_in_loss=pad_in_loss).train()
        with pytest.raises(LiftError, match=OF_TRAINING):
            trainer(tmp_path, model, TOO_LONG)


def test_the_limit_of_a_model_with_code_of_its_own_counts(tmp_path):
    model = LLaDAModelLM(LLaDAConfig(vocab_size=8, max_sequence_length=LIMIT))
    trainer(tmp_path, model, FITS)
    with pytest.raises(LiftError, match=rf"{OF_TRAINING} \(max_sequence_length\)"):
        trainer(tmp_path, model, TOO_LONG)


@needs_packing
def test_examples_of_packed_rows_count_not_the_rows(tmp_path):
    options = {"packing": True, "pad_in_loss": False, "max_length": 30}
    trainer(tmp_path, bert(), FITS, pack_dataset(rows(8, 8, 9), max_length=30), **options).train()
    for packed in (TOO_LONG, pack_dataset(TOO_LONG, max_length=30)):
        with pytest.raises(LiftError, match=OF_TRAINING):
            trainer(tmp_path, bert(), packed, **options)


class Stream(torch.utils.data.IterableDataset):
    def __iter__(self):
        yield from TOO_LONG


def test_rows_that_nobody_can_measure_before_are_refused_when_they_come(tmp_path):
    for stream in (Stream(), Dataset.from_list(TOO_LONG).to_iterable_dataset()):
        with pytest.raises(LiftError, match=f"a batch has rows of {LIMIT + 1} tokens, and the model has {LIMIT} pos"):
            trainer(tmp_path, bert(), stream).train()


def test_relative_positions_have_no_limit_and_a_word_of_caution(tmp_path, caplog):
    caplog.set_level(logging.WARNING, logger="lift")
    trainer(tmp_path, tiny_model(), rows(64))
    assert not caplog.messages
    trainer(tmp_path, tiny_model(), rows(65))
    assert "rows of 65 tokens go beyond the 64 positions that the model was made for" in caplog.messages[0]


def test_the_longest_row_of_any_kind():
    assert longest_row(FITS) == longest_row(Dataset.from_list(FITS)) == LIMIT
    assert longest_row(Dataset.from_list(TOO_LONG).select([0, 1])) == 5
    assert longest_row(Dataset.from_list(FITS).select([])) == longest_row([]) == 0
    assert (
        longest_row(pack_dataset(FITS, max_length=30)) == longest_row(pack_dataset(FITS, max_length=30).to_list()) == 9
    )
    assert longest_row(Stream()) is None and longest_row(None) is None
    assert longest_row([{"text": "a"}]) is None and longest_row(Dataset.from_list([{"text": "a"}])) is None
