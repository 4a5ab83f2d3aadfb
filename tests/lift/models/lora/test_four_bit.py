"""The configuration for 4-bit bases. Quantisation itself needs bitsandbytes and is not run here."""

from __future__ import annotations

import torch

from lift.models.lora import four_bit_config
from tests.lift.support.llada_layout import llada_layout
from tests.lift.support.tiny import tiny_model
from tests.transformers_version import needs_transformers_5

pytestmark = needs_transformers_5("the BitsAndBytesConfig of transformers 4 wants bitsandbytes installed")


def test_nf4_with_double_quantisation_computes_in_bfloat16_and_spares_the_head():
    with torch.device("meta"):
        model = llada_layout()
    config = four_bit_config(model)
    assert config.load_in_4bit and config.bnb_4bit_quant_type == "nf4" and config.bnb_4bit_use_double_quant
    assert config.bnb_4bit_compute_dtype == torch.bfloat16
    assert config.llm_int8_skip_modules == ["model.transformer.ff_out"]
    assert four_bit_config(tiny_model()).llm_int8_skip_modules == ["decoder"]


def test_transformers_reads_the_name_as_the_head_alone():
    from transformers.quantizers.quantizers_utils import should_convert_module  # of transformers 5

    names = [name for name, module in llada_layout().named_modules() if isinstance(module, torch.nn.Linear)]
    skip = four_bit_config(llada_layout()).llm_int8_skip_modules
    assert [name for name in names if not should_convert_module(name, skip)] == ["model.transformer.ff_out"]
