"""Checks for those who build on `lift_kernels`: rules of accuracy, inputs of a head, and the loss through logits.

It is to `lift_kernels` what `torch.testing` is to torch: nothing else in the package imports it.
"""

from lift_kernels.testing.accuracy import assert_gradient_close, assert_nats_close
from lift_kernels.testing.heads import DTYPES, Head
from lift_kernels.testing.logits import aligned_logits, logits_loss

__all__ = ["DTYPES", "Head", "aligned_logits", "assert_gradient_close", "assert_nats_close", "logits_loss"]
