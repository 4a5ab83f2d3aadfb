"""`nn.Module` forms of the ops."""

from __future__ import annotations

from torch import Tensor, nn

from lift_kernels import checks
from lift_kernels.ops.linear_cross_entropy import REDUCTIONS, linear_cross_entropy
from lift_kernels.ops.linear_token_stats import TokenStats


class LinearCrossEntropyLoss(nn.Module):
    """`linear_cross_entropy` with its options fixed; it has no parameters of its own.

    Args:
        ignore_index, exclude_index, reduction, logit_scale, logit_softcap, return_stats, backend, workspace_bytes: see
            `linear_cross_entropy`.

    Raises:
        ValueError, TypeError: an option does not fit; the message names it.

    Example:
        >>> criterion = LinearCrossEntropyLoss(reduction="sum")
        >>> loss = criterion(hidden_states, model.lm_head.weight, labels, token_weight=1 / timestep)
    """

    def __init__(
        self,
        *,
        ignore_index: int = -100,
        exclude_index: int | None = None,
        reduction: str = "mean",
        logit_scale: float = 1.0,
        logit_softcap: float | None = None,
        return_stats: bool = False,
        backend: str = "auto",
        workspace_bytes: int | None = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        checks.check_head_options(
            name, ignore_index=ignore_index, logit_scale=logit_scale, logit_softcap=logit_softcap,
            workspace_bytes=workspace_bytes, backend=backend, exclude_index=exclude_index,
        )  # fmt: skip
        checks.check_choice(name, "reduction", reduction, REDUCTIONS)
        checks.check_bool(name, "return_stats", return_stats)
        self.ignore_index = ignore_index
        self.exclude_index = exclude_index
        self.reduction = reduction
        self.logit_scale = logit_scale
        self.logit_softcap = logit_softcap
        self.return_stats = return_stats
        self.backend = backend
        self.workspace_bytes = workspace_bytes

    def forward(
        self,
        hidden_states: Tensor,
        weight: Tensor,
        targets: Tensor,
        *,
        token_weight: Tensor | None = None,
        bias: Tensor | None = None,
        denominator: float | Tensor | None = None,
        num_targets: int | None = None,
    ) -> Tensor | tuple[Tensor, TokenStats]:
        return linear_cross_entropy(
            hidden_states,
            weight,
            targets,
            token_weight=token_weight,
            bias=bias,
            denominator=denominator,
            num_targets=num_targets,
            ignore_index=self.ignore_index,
            exclude_index=self.exclude_index,
            reduction=self.reduction,
            logit_scale=self.logit_scale,
            logit_softcap=self.logit_softcap,
            return_stats=self.return_stats,
            backend=self.backend,
            workspace_bytes=self.workspace_bytes,
        )

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}, ignore_index={self.ignore_index}, backend={self.backend!r}"
