"""Checks for those who build on `lift_kernels`: accuracy rules, inputs of a head, a model family against its logits.

It is to `lift_kernels` what `torch.testing` is to torch: nothing else in the package imports it.
"""

from lift_kernels.testing.accuracy import assert_gradient_close, assert_nats_close
from lift_kernels.testing.heads import DTYPES, Head
from lift_kernels.testing.logits import aligned_logits, logits_loss
from lift_kernels.testing.model_family import check_model_family

__all__ = [
    "DTYPES",
    "Head",
    "aligned_logits",
    "assert_gradient_close",
    "assert_nats_close",
    "check_model_family",
    "logits_loss",
]
