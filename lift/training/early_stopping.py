"""Stop a run when its evaluations get no better."""

from __future__ import annotations

import logging
from typing import Any

from transformers import EarlyStoppingCallback

logger = logging.getLogger(__name__)


class EarlyStopping(EarlyStoppingCallback):
    """transformers' `EarlyStoppingCallback`, which goes on counting in a resumed run, and says when it stops one.

    Args:
        early_stopping_patience: evaluations in a row without a better `metric_for_best_model`, after which a run stops.
    """

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Count the evaluations of the run so far since the best one."""
        super().on_train_begin(args, state, control, **kwargs)
        name = f"eval_{args.metric_for_best_model.removeprefix('eval_')}"
        values = [entry[name] for entry in state.log_history if name in entry]
        best = max if args.greater_is_better else min
        self.early_stopping_patience_counter = len(values) - 1 - values.index(best(values)) if values else 0

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: Any) -> None:
        """Stop the run where the patience is at its end."""
        super().on_evaluate(args, state, control, metrics, **kwargs)
        if self.early_stopping_patience_counter >= self.early_stopping_patience:
            logger.info(
                "stopped early at step %d of %d: the last %d evaluations brought no better %s.",
                state.global_step, state.max_steps, self.early_stopping_patience_counter, args.metric_for_best_model,
            )  # fmt: skip
