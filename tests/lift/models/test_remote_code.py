"""Code written for transformers 4: what fails under transformers 5 without `lift.models.remote_code`, and works with it.

Each case is a double whose file ends as a published one does, with the removed or changed API. Plain transformers 4
loads them, with one exception; plain transformers 5 must fail, or the case has become pointless.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.utils import import_utils

from lift.errors import LiftError
from lift.models.loading import load_model
from tests.doubles.checkpoint import FAMILIES, write_checkpoint
from tests.transformers_version import IS_TRANSFORMERS_4, needs_transformers_5

pytestmark = pytest.mark.usefixtures("remote_code_cache")

IDS = torch.arange(8).view(1, 8)

NO_USE_CACHE = """
class Config(LLaDAConfig):
    def __init__(self, use_cache=False, **kwargs):
        PretrainedConfig.__init__(self, **{**kwargs, "use_cache": use_cache})

LLaDAConfig = LLaDAModelLM.config_class = Config
"""
NO_POST_INIT = """
LLaDAModelLM.post_init = lambda self: None
"""
TIE_WEIGHTS = """
def tie_weights(self):
    pass

LLaDAModelLM.tie_weights = tie_weights
"""
FX = """
from transformers.utils.import_utils import is_torch_fx_available
if is_torch_fx_available():
    import torch.fx
"""
ROPE = """
import torch
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

class Rotary(nn.Module):
    def __init__(self, config):
        super().__init__()
        inv_freq, self.scaling = ROPE_INIT_FUNCTIONS["default"](config, None)
        self.register_buffer("inv_freq", inv_freq, persistent=False)
        self.original_inv_freq = self.inv_freq

class Dream(DreamModel):
    def __init__(self, config):
        super().__init__(config)
        self.rotary = Rotary(config)

DreamModel = Dream
"""
BUFFER = """
class Dream(DreamModel):
    def __init__(self, config):
        super().__init__(config)
        self.register_buffer("scale", torch.arange(3.0), persistent=False)
        self.same_scale = self.scale

import torch
DreamModel = Dream
"""
GRADIENT_CHECKPOINTING = """
def _set_gradient_checkpointing(self, enable=True, gradient_checkpointing_func=None):
    self.model._gradient_checkpointing_func = gradient_checkpointing_func
    self.model.gradient_checkpointing = enable

DreamModel._set_gradient_checkpointing = _set_gradient_checkpointing
"""
TIED_LIST = """
LLaDAMoEModelLM._tied_weights_keys = ["lm_head.weight"]
"""
GENERATION_CONFIG = """
from transformers import GenerationConfig

class DreamGenerationConfig(GenerationConfig):
    def validate(self, is_init=False):
        pass

class DreamGenerationMixin:
    pass

class Dream(DreamGenerationMixin, DreamModel):
    @classmethod
    def from_pretrained(cls, name, *args, **kwargs):
        model = super().from_pretrained(name, *args, **kwargs)
        model.generation_config = DreamGenerationConfig.from_pretrained(name, temperature=0.5)
        return model

DreamModel = Dream
"""


def save(model: Any, folder: Path) -> None:
    model.save_pretrained(folder / "again")


def forward(model: Any, folder: Path) -> None:
    assert model(IDS).logits.isfinite().all()


def checkpoint_activations(model: Any, folder: Path) -> None:
    (getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable)()
    assert model.model.gradient_checkpointing
    forward(model.train(), folder)


@dataclass(frozen=True)
class Case:
    family: str
    code: str
    error: type[Exception]  # of plain transformers 5
    message: str
    use: Callable[[Any, Path], None] = forward
    fails_in_4: bool = False


CASES = {
    "config without use_cache": Case("llada", NO_USE_CACHE, AttributeError, "use_cache"),
    "class without post_init": Case("llada", NO_POST_INIT, AttributeError, "all_tied_weights_keys"),
    "tie_weights without arguments": Case("llada", TIE_WEIGHTS, TypeError, "missing_keys|recompute_mapping"),
    "is_torch_fx_available": Case("llada_moe", FX, ImportError, "is_torch_fx_available"),
    "default rotary frequencies": Case("dream", ROPE, KeyError, "default"),
    "checkpointing without every_n_layers": Case(
        "dream", GRADIENT_CHECKPOINTING, TypeError, "every_n_layers", checkpoint_activations
    ),
    "tied weights as a list": Case("llada_moe", TIED_LIST, AttributeError, "no attribute 'keys'", save),
    "generation config": Case(
        "dream", GENERATION_CONFIG, TypeError, "user_set_attributes|strict", save, fails_in_4=True
    ),
}


def load_plainly(folder: Path, family: str) -> Any:
    name = "AutoModelForCausalLM" if "AutoModelForCausalLM" in FAMILIES[family][2] else "AutoModel"
    return getattr(transformers, name).from_pretrained(folder, trust_remote_code=True)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_transformers_5_took_away_is_made_up_for(case, tmp_path):
    double = write_checkpoint(tmp_path, case.family, code=case.code)
    (tmp_path / "generation_config.json").write_text("{}")
    if IS_TRANSFORMERS_4 and not case.fails_in_4:
        case.use(load_plainly(tmp_path, case.family), tmp_path)
    else:
        with pytest.raises(case.error, match=case.message):
            case.use(load_plainly(tmp_path, case.family), tmp_path)
    model = load_model(str(tmp_path), trust_remote_code=True)
    case.use(model, tmp_path)
    assert torch.equal(model.eval()(IDS).logits, double(IDS).logits)


def test_rotary_frequencies_are_those_of_the_paper(tmp_path):
    write_checkpoint(tmp_path, "dream", code=ROPE)
    rotary = load_model(str(tmp_path), trust_remote_code=True).rotary
    torch.testing.assert_close(rotary.inv_freq, 100.0 ** -(torch.arange(0, 8, 2) / 8))
    assert torch.equal(rotary.original_inv_freq, rotary.inv_freq)


@pytest.fixture
def uninitialised_memory_is_nan():
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.usefixtures("uninitialised_memory_is_nan")
def test_buffers_that_no_checkpoint_holds_are_computed(tmp_path):
    write_checkpoint(tmp_path, "dream", code=BUFFER)
    assert load_plainly(tmp_path, "dream").scale.isnan().all() or IS_TRANSFORMERS_4
    model = load_model(str(tmp_path), trust_remote_code=True)
    for values in (model.scale, model.same_scale):
        assert values.tolist() == [0, 1, 2]


@pytest.mark.parametrize("code", [ROPE + FX, ROPE + FX + "raise ValueError('broken')\n"], ids=["loads", "fails"])
def test_transformers_is_left_as_it_was(code, tmp_path):
    write_checkpoint(tmp_path, "dream", code=code)
    before = dict(ROPE_INIT_FUNCTIONS), set(vars(import_utils)), set(vars(transformers.PreTrainedModel))
    try:
        load_model(str(tmp_path), trust_remote_code=True)
    except LiftError as error:
        assert "broken" in str(error)
    assert (dict(ROPE_INIT_FUNCTIONS), set(vars(import_utils)), set(vars(transformers.PreTrainedModel))) == before


@needs_transformers_5("transformers 4 ties such a head itself")
def test_a_head_tied_as_before_is_refused(tmp_path):
    write_checkpoint(tmp_path, "llada_moe", code=TIED_LIST, tie_word_embeddings=True)
    with pytest.raises(LiftError, match=r"LLaDAMoEModelLM ties its head .* install 'transformers<5'"):
        load_model(str(tmp_path), trust_remote_code=True)
