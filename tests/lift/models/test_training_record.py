"""What a sampler must know of a training stays with the model: in its configuration, and beside an adapter."""

from __future__ import annotations

import copy
import json
import pickle

import pytest
import torch
from peft import PeftModel

from lift import LiftError, LiftOptions
from lift.integrations import LiftLoss
from lift.models.lora import LoraArguments, add_lora, load_adapter, merge_adapter
from lift.models.saved_record import block_size_of, record_in
from lift.models.training_record import (
    has_no_mask_token,
    record_mask_token,
    record_training,
    restore_record,
    training_record,
)
from lift.tasks import sudoku
from tests.lift.support.tiny import tiny_model
from tests.lift.support.trainers import make_trainer
from tests.transformers_version import needs_packing

OTHER = 5  # than the tokenizer's, 1


def adapter():
    return add_lora(tiny_model(), LoraArguments(use_peft=True, lora_r=2))


def test_a_model_is_saved_with_it(tmp_path):
    trainer = make_trainer(tmp_path, mask_token_id=OTHER)
    trainer.save_model(tmp_path / "out")
    assert json.loads((tmp_path / "out" / "config.json").read_text())["mask_token_id"] == OTHER


def test_an_adapter_is_saved_with_it_by_the_trainer_in_checkpoints_and_by_hand(tmp_path):
    trainer = make_trainer(tmp_path, adapter(), mask_token_id=OTHER, max_steps=1, save_strategy="steps", save_steps=1)
    trainer.train()
    trainer.save_model(tmp_path / "out")
    trainer.model.save_pretrained(tmp_path / "by_hand")
    copy.deepcopy(trainer.model).save_pretrained(str(tmp_path / "a_copy"))
    for folder in ("out", "checkpoint-1", "by_hand", "a_copy"):
        assert {"adapter_config.json", "lift.json"} <= {path.name for path in (tmp_path / folder).iterdir()}, folder
        loaded = load_adapter(tiny_model(), tmp_path / folder)
        assert loaded.config.mask_token_id == OTHER, folder
        assert isinstance(loaded, PeftModel)
    loaded.save_pretrained(tmp_path / "again")
    assert load_adapter(tiny_model(), tmp_path / "again").config.mask_token_id == OTHER
    merge_adapter(tiny_model(), tmp_path / "out").save_pretrained(tmp_path / "merged")
    assert json.loads((tmp_path / "merged" / "config.json").read_text())["mask_token_id"] == OTHER


def test_an_adapter_is_saved_with_the_record_that_there_was_no_mask_token(tmp_path):
    model = adapter()
    record_training(model, RECORD)
    record_mask_token(model, None)
    model.save_pretrained(tmp_path / "adapter")
    loaded = load_adapter(tiny_model(), tmp_path / "adapter")
    assert has_no_mask_token(loaded) and training_record(loaded) == RECORD | {"corruption": "uniform"}
    assert "mask_token_id" not in json.loads((tmp_path / "adapter" / "lift.json").read_text())


def test_a_copy_saves_its_own_adapter(tmp_path):
    model = adapter()
    record_mask_token(model, OTHER)
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.fill_(7)
    twin.save_pretrained(tmp_path)
    weights = [p for name, p in load_adapter(tiny_model(), tmp_path).named_parameters() if "lora_" in name]
    assert weights and all((p == 7).all() for p in weights)


def test_an_adapter_can_be_pickled():
    model = adapter()
    record_mask_token(model, OTHER)
    assert pickle.loads(pickle.dumps(model)).config.mask_token_id == OTHER


def test_only_the_process_that_writes_leaves_a_record(tmp_path):
    model = adapter()
    record_mask_token(model, OTHER)
    model.save_pretrained(tmp_path / "out", is_main_process=False)
    assert not (tmp_path / "out" / "lift.json").exists()


def test_the_loss_function_for_other_trainers_keeps_it_too():
    model = tiny_model()
    LiftLoss(model, sudoku.build_tokenizer(), LiftOptions(mask_token_id=OTHER))
    assert model.config.mask_token_id == OTHER


def test_a_folder_without_a_record_says_nothing_and_a_broken_one_is_a_sentence(tmp_path):
    model = tiny_model()
    restore_record(model, tmp_path)
    assert getattr(model.config, "mask_token_id", None) is None
    for content in ("", "[]", '{"mask_token_id": null}', "{}"):
        (tmp_path / "lift.json").write_text(content)
        with pytest.raises(LiftError, match=r"lift\.json cannot be read .*: delete it, and pass --mask_token_id"):
            restore_record(model, tmp_path)


RECORD = {"system": "be kind", "system_role": "user", "task": "sudoku"}


def test_how_the_prompts_looked_is_saved_with_a_model_and_with_an_adapter(tmp_path):
    model = tiny_model()
    record_training(model, RECORD)
    model.save_pretrained(tmp_path / "whole")
    assert training_record(type(model).from_pretrained(tmp_path / "whole")) == RECORD
    adapted = adapter()
    record_training(adapted, RECORD)
    make_trainer(tmp_path, adapted).save_model(tmp_path / "adapter")
    assert training_record(load_adapter(tiny_model(), tmp_path / "adapter")) == RECORD
    merge_adapter(tiny_model(), tmp_path / "adapter").save_pretrained(tmp_path / "merged")
    assert json.loads((tmp_path / "merged" / "config.json").read_text())["lift"] == RECORD


@needs_packing
@pytest.mark.parametrize("kind", ["whole", "adapter"])
def test_a_training_in_blocks_is_saved_with_the_model(tmp_path, kind):
    """Beside what is known of its prompts; a later training on whole rows takes it away."""
    model = tiny_model() if kind == "whole" else adapter()
    record_training(model, RECORD)
    for options, expected in (({"attention": "block", "block_size": 4}, 4), ({}, None)):
        make_trainer(tmp_path, model, **options).save_model(tmp_path / "out")
        assert block_size_of(record_in(tmp_path / "out")) == expected
        assert RECORD.items() <= record_in(tmp_path / "out").items()
        loaded = (
            model.from_pretrained(tmp_path / "out") if kind == "whole" else load_adapter(tiny_model(), tmp_path / "out")
        )
        assert block_size_of(training_record(loaded)) == expected


def test_the_record_of_an_earlier_training_goes():
    model = tiny_model()
    record_training(model, {})
    assert not hasattr(model.config, "lift") and training_record(model) == {}
    record_training(model, RECORD)
    record_training(model, {})
    assert training_record(model) == {}


def test_a_field_of_that_name_that_is_no_record_says_nothing():
    model = tiny_model()
    for value in ("text", 3, {"system": 3}):
        model.config.lift = value
        assert training_record(model) == {}


def test_the_record_in_a_folder_is_read_without_the_model(tmp_path):
    model = tiny_model()
    record_training(model, {"task": "sudoku"})
    model.save_pretrained(tmp_path / "whole")
    record_training(model, {})
    model.save_pretrained(tmp_path / "unknown")
    trained = adapter()
    record_mask_token(trained, OTHER)
    record_training(trained, {"task": "countdown"})
    trained.save_pretrained(tmp_path / "adapter")
    found = {name: record_in(tmp_path / name) for name in ("whole", "adapter", "unknown", "nowhere")}
    assert found == {"whole": {"task": "sudoku"}, "adapter": {"task": "countdown"}, "unknown": {}, "nowhere": {}}
