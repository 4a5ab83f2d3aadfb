"""What the objectives write in place of a corrupted token, and what a model remembers of it."""

from __future__ import annotations

import pytest

from lift.errors import LiftError
from lift.models.training_record import has_no_mask_token
from lift.objectives import LiftOptions
from lift.tasks import sudoku
from lift.training.noise_token import noise_token_id, record_noise_token
from tests.lift.support.tiny import tiny_model


def test_it_is_the_mask_token_or_stands_for_a_random_one():
    tokenizer, model = sudoku.build_tokenizer(), tiny_model()
    known = {"config": model.config, "vocab_size": 8}
    masked, uniform = LiftOptions(), LiftOptions(corruption="uniform")
    assert noise_token_id(masked, tokenizer, **known) == tokenizer.mask_token_id
    tokenizer.mask_token = None
    assert noise_token_id(uniform, tokenizer, **known) == 8
    with pytest.raises(LiftError, match="or train with --corruption uniform"):
        noise_token_id(masked, tokenizer, **known)


def test_a_model_remembers_the_last_training():
    model = tiny_model()
    model.config.mask_token_id = 1
    record_noise_token(LiftOptions(corruption="uniform"), model, 8)
    assert has_no_mask_token(model) and model.config.mask_token_id == 1
    record_noise_token(LiftOptions(), model, 5)
    assert not has_no_mask_token(model) and model.config.mask_token_id == 5
