"""A checkpoint that does not fill its model is refused: what is missing would be random."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertModel, PreTrainedModel

from lift.errors import LiftError
from lift.models.loaded_weights import recorded_loading
from lift.models.loading import load_model
from tests.doubles.checkpoint import FAMILIES, write_checkpoint
from tests.lift.support.tiny import tiny_model


@pytest.fixture
def folder(tmp_path):
    tiny_model().save_pretrained(tmp_path)
    return tmp_path


def rename_weights(folder, rename):
    weights = load_file(folder / "model.safetensors")
    save_file({rename(key): tensor for key, tensor in weights.items()}, folder / "model.safetensors", {"format": "pt"})


def test_names_of_a_wrapped_model_are_told(folder):
    rename_weights(folder, "module.{}".format)
    with pytest.raises(LiftError, match=rf"weights of {folder} lack \S+ and \d+ more, .* It holds module\.\S+ instead"):
        load_model(str(folder))


def test_one_missing_weight_is_told(folder):
    rename_weights(folder, lambda key: key.replace("layers.0.mlp.Wo.weight", "other"))
    with pytest.raises(
        LiftError, match=r"lack model.layers.0.mlp.Wo.weight, which would be random. It holds model.other"
    ):
        load_model(str(folder))


def test_an_encoder_has_no_head(tmp_path):
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    BertModel(BertConfig(vocab_size=20, **sizes)).save_pretrained(tmp_path)
    with pytest.raises(LiftError, match=r"lack cls\.predictions\..*load it by AutoModelForMaskedLM and save that"):
        load_model(str(tmp_path))


def test_a_configuration_of_another_size_names_a_tensor(folder):
    config = json.loads((folder / "config.json").read_text())
    size = config["intermediate_size"]
    (folder / "config.json").write_text(json.dumps(config | {"intermediate_size": 2 * size}))
    with pytest.raises(LiftError, match=r"config.json: the shape of model.layers.0.mlp.Wi.weight and 3 more "):
        load_model(str(folder))


@pytest.mark.usefixtures("remote_code_cache")
@pytest.mark.parametrize("family", FAMILIES)
def test_code_of_a_checkpoint_is_asked_too(family, tmp_path):
    write_checkpoint(tmp_path, family)
    rename_weights(tmp_path, "module.{}".format)
    with pytest.raises(LiftError, match=r"which would be random\. It holds module"):
        load_model(str(tmp_path), trust_remote_code=True)


def test_transformers_is_left_as_it_was(folder):
    own = PreTrainedModel.__dict__["from_pretrained"]
    with recorded_loading() as found:
        model, info = type(tiny_model()).from_pretrained(folder, output_loading_info=True)
        assert isinstance(type(model).from_pretrained(folder), torch.nn.Module)
    assert found[0] is info and len(found) == 2 and PreTrainedModel.__dict__["from_pretrained"] is own
