"""Two-layer models of the families of transformers, with random weights and a real vocabulary."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from torch import Tensor, nn


@dataclass(frozen=True)
class Sizes:
    """Vocabulary, width, rows and positions."""

    vocab: int = 126_464
    width: int = 128
    rows: int = 2
    length: int = 512

    @classmethod
    def smoke(cls) -> Sizes:
        return cls(vocab=1000, width=16, rows=2, length=24)


def _bert_like(kind: str, **options: int) -> Callable[[Sizes], nn.Module]:
    def build(sizes: Sizes) -> nn.Module:
        config = getattr(transformers, f"{kind}Config")(
            vocab_size=sizes.vocab, hidden_size=sizes.width, num_hidden_layers=2, num_attention_heads=2,
            intermediate_size=24, max_position_embeddings=sizes.length + 4, hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0, **options,
        )  # fmt: skip
        model: nn.Module = getattr(transformers, f"{kind}ForMaskedLM")(config)
        return model

    return build


def _distilbert(sizes: Sizes) -> nn.Module:
    config = transformers.DistilBertConfig(
        vocab_size=sizes.vocab, dim=sizes.width, n_layers=2, n_heads=2, hidden_dim=24,
        max_position_embeddings=sizes.length, dropout=0.0, attention_dropout=0.0,
    )  # fmt: skip
    return transformers.DistilBertForMaskedLM(config)


def _modernbert(sizes: Sizes) -> nn.Module:
    config = transformers.ModernBertConfig(
        vocab_size=sizes.vocab, hidden_size=sizes.width, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=24, max_position_embeddings=sizes.length, pad_token_id=0, bos_token_id=None,
        eos_token_id=None, cls_token_id=None, sep_token_id=None,
    )  # fmt: skip
    return transformers.ModernBertForMaskedLM(config)


def _diffusion_gemma(sizes: Sizes) -> nn.Module:
    """Of transformers 5."""
    of_global_layers: dict[str, Any] = {"num_global_key_value_heads": 1, "global_head_dim": 8}
    text = transformers.DiffusionGemmaTextConfig(
        vocab_size=sizes.vocab, hidden_size=sizes.width, intermediate_size=24, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, head_dim=8, num_experts=2, top_k_experts=1,
        moe_intermediate_size=8, max_position_embeddings=sizes.length + 64,
        layer_types=["sliding_attention", "full_attention"], **of_global_layers,
    )  # fmt: skip
    vision = transformers.Gemma4VisionConfig(
        hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1,
        head_dim=8,
    )  # fmt: skip
    config = transformers.DiffusionGemmaConfig(
        text_config=text, vision_config=vision, canvas_length=sizes.length, image_token_id=sizes.vocab - 1,
        boi_token_id=sizes.vocab - 2, eoi_token_id=sizes.vocab - 3,
    )  # fmt: skip
    return transformers.DiffusionGemmaForBlockDiffusion(config)


FAMILIES: dict[str, Callable[[Sizes], nn.Module]] = {
    "albert": _bert_like("Albert", embedding_size=8),
    "bert": _bert_like("Bert"),
    "roberta": _bert_like("Roberta"),
    "xlm-roberta": _bert_like("XLMRoberta"),
    "camembert": _bert_like("Camembert"),
    "distilbert": _distilbert,
    "electra": _bert_like("Electra", embedding_size=8),
    "modernbert": _modernbert,
    "diffusion-gemma": _diffusion_gemma,
}


def build_model(family: str, sizes: Sizes) -> nn.Module:
    """Return the float32 model of a family; whatever starts at zero is random instead, so that it counts."""
    torch.manual_seed(0)
    model = FAMILIES[family](sizes)
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.normal_(std=0.3)
    return model.float()


def inputs_for(model: nn.Module, sizes: Sizes) -> dict[str, Tensor]:
    """Return the arguments of a forward pass over (rows, length) tokens; DiffusionGemma's stand behind a prompt."""
    ids = torch.randint(sizes.vocab - 4, (sizes.rows, sizes.length))
    config: Any = model.config
    if config.model_type == "diffusion_gemma":
        return {"input_ids": torch.randint(sizes.vocab - 4, (sizes.rows, 5)), "decoder_input_ids": ids}
    return {"input_ids": ids}
