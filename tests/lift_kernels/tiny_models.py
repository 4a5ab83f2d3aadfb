"""One tiny model of every family: real classes of transformers, and doubles of those that live on the Hub."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from lift_kernels.testing import aligned_logits
from tests.doubles import a2d_qwen3, dream, llada, llada2_moe, llada_moe

V, D, B, L = 64, 16, 3, 12


@dataclass(frozen=True)
class Sizes:
    """Vocabulary, width, rows and positions."""

    vocab: int = V
    width: int = D
    rows: int = B
    length: int = L


TINY = Sizes()


def _bert_like(kind: str, sizes: Sizes, **options: int) -> nn.Module:
    import transformers

    config = getattr(transformers, f"{kind}Config")(
        vocab_size=sizes.vocab, hidden_size=sizes.width, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=24, max_position_embeddings=sizes.length + 4, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0, **options,
    )  # fmt: skip
    return getattr(transformers, f"{kind}ForMaskedLM")(config)


def _distilbert(sizes: Sizes) -> nn.Module:
    from transformers import DistilBertConfig, DistilBertForMaskedLM

    config = DistilBertConfig(
        vocab_size=sizes.vocab, dim=sizes.width, n_layers=2, n_heads=2, hidden_dim=24,
        max_position_embeddings=sizes.length, dropout=0.0, attention_dropout=0.0,
    )  # fmt: skip
    return DistilBertForMaskedLM(config)


def _modernbert(sizes: Sizes) -> nn.Module:
    from transformers import ModernBertConfig, ModernBertForMaskedLM

    config = ModernBertConfig(
        vocab_size=sizes.vocab, hidden_size=sizes.width, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=24, max_position_embeddings=sizes.length, pad_token_id=0, bos_token_id=None,
        eos_token_id=None, cls_token_id=None, sep_token_id=None,
    )  # fmt: skip
    return ModernBertForMaskedLM(config)


def _llada(sizes: Sizes, **options: Any) -> nn.Module:
    return llada.LLaDAModelLM(llada.LLaDAConfig(vocab_size=sizes.vocab, d_model=sizes.width, **options))


def _diffusion_gemma(sizes: Sizes) -> nn.Module:
    import transformers

    if not hasattr(transformers, "DiffusionGemmaForBlockDiffusion"):
        pytest.skip(f"transformers {transformers.__version__} has no DiffusionGemma")
    text = transformers.DiffusionGemmaTextConfig(
        vocab_size=sizes.vocab, hidden_size=sizes.width, intermediate_size=24, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, num_global_key_value_heads=1, head_dim=8, global_head_dim=8,
        num_experts=2, top_k_experts=1, moe_intermediate_size=8, max_position_embeddings=sizes.length + 64,
        layer_types=["sliding_attention", "full_attention"],
    )  # fmt: skip
    vision = transformers.Gemma4VisionConfig(
        hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1,
        head_dim=8,
    )  # fmt: skip
    config = transformers.DiffusionGemmaConfig(
        text_config=text, vision_config=vision, canvas_length=sizes.length, image_token_id=sizes.vocab - 1,
        boi_token_id=sizes.vocab - 2, eoi_token_id=sizes.vocab - 3,
    )  # fmt: skip
    text._experts_implementation = "eager"  # the default's grouped products know no float64
    model = transformers.DiffusionGemmaForBlockDiffusion(config)
    model.final_logit_softcapping = 2.0  # so near that it shows
    return model


def _ids(sizes: Sizes) -> dict[str, Any]:
    return {"input_ids": torch.randint(sizes.vocab - 4, (sizes.rows, sizes.length))}


def _padded(sizes: Sizes) -> dict[str, Any]:
    mask = torch.ones(sizes.rows, sizes.length, dtype=torch.int64)
    mask[1, sizes.length - 3 :] = 0
    return _ids(sizes) | {"attention_mask": mask}


def _pair_masked(sizes: Sizes) -> dict[str, Any]:
    mask = torch.ones(sizes.rows, 1, sizes.length, sizes.length, dtype=torch.bool)
    mask[1, :, :, sizes.length - 3 :] = False
    return _ids(sizes) | {"attention_mask": mask}


def _canvas(sizes: Sizes) -> dict[str, Any]:
    prompt = torch.randint(sizes.vocab - 4, (sizes.rows, 5))
    return {"input_ids": prompt, "decoder_input_ids": _ids(sizes)["input_ids"]}


@dataclass(frozen=True)
class Tiny:
    build: Callable[[Sizes], nn.Module]
    inputs: Callable[[Sizes], dict[str, Any]] = _padded
    predicts_next: bool = False
    float32_logits: bool = False  # whatever the model's dtype: what they are compared with is then no more exact


TINY_MODELS: dict[str, Tiny] = {
    "albert": Tiny(lambda sizes: _bert_like("Albert", sizes, embedding_size=8)),
    "bert": Tiny(lambda sizes: _bert_like("Bert", sizes)),
    "roberta": Tiny(lambda sizes: _bert_like("Roberta", sizes)),
    "xlm-roberta": Tiny(lambda sizes: _bert_like("XLMRoberta", sizes)),
    "camembert": Tiny(lambda sizes: _bert_like("Camembert", sizes)),
    "distilbert": Tiny(_distilbert),
    "electra": Tiny(lambda sizes: _bert_like("Electra", sizes, embedding_size=8)),
    "modernbert": Tiny(_modernbert),
    "llada": Tiny(_llada, _ids),
    "llada-tied-scaled": Tiny(lambda sizes: _llada(sizes, weight_tying=True, scale_logits=True), _ids),
    "llada-bias": Tiny(lambda sizes: _llada(sizes, include_bias=True, scale_logits=True), _ids),
    "llada-moe": Tiny(
        lambda sizes: llada_moe.LLaDAMoEModelLM(llada_moe.LLaDAConfig(vocab_size=sizes.vocab, hidden_size=sizes.width)),
        _ids,
        float32_logits=True,
    ),
    "llada2": Tiny(
        lambda sizes: llada2_moe.LLaDA2MoeModelLM(
            llada2_moe.LLaDA2MoeConfig(vocab_size=sizes.vocab, hidden_size=sizes.width)
        ),
        _pair_masked,
        float32_logits=True,
    ),
    "dream": Tiny(
        lambda sizes: dream.DreamModel(
            dream.DreamConfig(vocab_size=sizes.vocab, hidden_size=sizes.width, pad_token_id=0, mask_token_id=1)
        ),
        _pair_masked,
        predicts_next=True,
    ),
    "a2d-qwen3": Tiny(
        lambda sizes: a2d_qwen3.A2DQwen3LMHeadModel(
            a2d_qwen3.A2DQwen3Config(vocab_size=sizes.vocab, hidden_size=sizes.width)
        )
    ),
    "diffusion-gemma": Tiny(_diffusion_gemma, _canvas, float32_logits=True),
}


def build(name: str, dtype: torch.dtype = torch.float64, sizes: Sizes = TINY) -> nn.Module:
    """The model of that name; whatever starts at zero is random instead, so that it counts."""
    model = TINY_MODELS[name].build(sizes)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return model.to(dtype)


def labels_for(name: str, sizes: Sizes = TINY) -> Tensor:
    """Half of the tokens (B, L); not the first one where nothing predicts it."""
    shape = (sizes.rows, sizes.length)
    labels = torch.randint(sizes.vocab, shape).where(torch.rand(shape) < 0.5, -100)
    labels[:, 1] = 3
    if TINY_MODELS[name].predicts_next:
        labels[:, 0] = -100
    return labels


def own_logits(name: str, model: nn.Module, inputs: dict[str, Any]) -> Tensor:
    """The model's own logits (B, L, V), at the tokens they predict."""
    return aligned_logits(model, inputs, predicts_next=TINY_MODELS[name].predicts_next)


def gradients(model: nn.Module, loss: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def expect_equal(ours: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float, what: str = "") -> None:
    """Relative to the largest entry of each tensor, or a thousandth of the largest of all: attention's key biases have
    no gradient but rounding."""
    assert ours.keys() == expected.keys()
    floor = max(tensor.abs().max() for tensor in expected.values()) / 1000
    for key, tensor in expected.items():
        error = (ours[key] - tensor).abs().max() / tensor.abs().max().clamp(min=floor)
        assert error <= tolerance, f"{what} {key}: off by {error:.2g} of its largest entry"


class LogitsSeen(TorchDispatchMode):
    """Whether any tensor of the size of all logits is made, of so many rows and columns."""

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__()
        self.size, self.columns, self.found = rows * columns, columns, False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.found |= isinstance(out, Tensor) and out.numel() == self.size and out.shape[-1] == self.columns
        return out
