"""Fused ops for fine-tuning masked diffusion language models: tensors in, tensors out.

Needs torch and einops; imports neither triton nor transformers until a call needs them.
"""

from lift_kernels.backends import backend_report
from lift_kernels.models.patch import apply_lift_kernels, register_model_family, remove_lift_kernels
from lift_kernels.modules import LinearCrossEntropyLoss
from lift_kernels.ops.corrupt_tokens import CorruptedTokens, corrupt_tokens
from lift_kernels.ops.lift_cross_entropy import lift_cross_entropy
from lift_kernels.ops.linear_cross_entropy import linear_cross_entropy
from lift_kernels.ops.linear_sample import SampledTokens, linear_sample
from lift_kernels.ops.linear_token_stats import TokenStats, linear_token_stats
from lift_kernels.ops.select_tokens import select_tokens

__version__ = "0.2.0"

__all__ = [
    "CorruptedTokens",
    "LinearCrossEntropyLoss",
    "SampledTokens",
    "TokenStats",
    "apply_lift_kernels",
    "backend_report",
    "corrupt_tokens",
    "lift_cross_entropy",
    "linear_cross_entropy",
    "linear_sample",
    "linear_token_stats",
    "register_model_family",
    "remove_lift_kernels",
    "select_tokens",
]
