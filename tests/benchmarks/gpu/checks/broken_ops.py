"""The loss as broken kernels would give it."""

from __future__ import annotations

import torch

from lift_kernels import linear_cross_entropy


def phantom_columns(hidden_states, weight, targets, bias=None, **options):
    """As a kernel that does not mask columns beyond the vocabulary: their logits are 0."""
    wider = torch.cat([weight, weight.new_zeros(20, weight.shape[1])])
    return linear_cross_entropy(hidden_states, wider, targets, **options)


def a_thousandth_too_much(hidden_states, weight, targets, **options):
    return linear_cross_entropy(hidden_states, weight, targets, **options) * 1.001
