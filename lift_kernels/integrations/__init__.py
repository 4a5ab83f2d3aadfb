"""Switches of other libraries that turn on the fused loss."""

from lift_kernels.integrations.liger import register_with_liger

__all__ = ["register_with_liger"]
