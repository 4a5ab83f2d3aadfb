"""What is known of model families, and the patch that gives a model a loss without logits."""

from lift_kernels.models.families import ModelFamily, family_of, find_model_family
from lift_kernels.models.few_logits import selected_logits
from lift_kernels.models.head import vocab_size_of
from lift_kernels.models.instance_forward import options_of, replace_forward
from lift_kernels.models.labelled_stats import labelled_token_stats
from lift_kernels.models.next_token import to_token
from lift_kernels.models.patch import is_patched, positions_of, unwrap_model
from lift_kernels.models.positions import Positions, find_positions
from lift_kernels.models.uncast import Uncast
from lift_kernels.ops.one_forward import OneForward

__all__ = [
    "ModelFamily",
    "OneForward",
    "Positions",
    "Uncast",
    "family_of",
    "find_model_family",
    "find_positions",
    "is_patched",
    "labelled_token_stats",
    "options_of",
    "positions_of",
    "replace_forward",
    "selected_logits",
    "to_token",
    "unwrap_model",
    "vocab_size_of",
]
