"""The ranges of the numbers among `transformers.TrainingArguments`, which checks few of them itself. Needs no torch."""

from __future__ import annotations

from typing import Any

from lift.errors import LiftError
from lift.fields import check_range, check_whole

WHOLE = {
    "max_steps": "[1, inf) or -1",  # -1: as many as num_train_epochs asks for
    "per_device_train_batch_size": "[1, inf)",
    "per_device_eval_batch_size": "[1, inf)",
    "per_gpu_train_batch_size": "[1, inf)",
    "per_gpu_eval_batch_size": "[1, inf)",
    "gradient_accumulation_steps": "[1, inf)",
    "eval_accumulation_steps": "[1, inf)",
    "torch_empty_cache_steps": "[1, inf)",
    "save_total_limit": "[1, inf)",
    "seed": "[0, inf)",
    "data_seed": "[0, inf)",
    "dataloader_num_workers": "[0, inf)",
    "dataloader_prefetch_factor": "[1, inf)",
    "ddp_bucket_cap_mb": "[1, inf)",
    "ddp_timeout": "[1, inf)",
    "fsdp_min_num_params": "[0, inf)",
    "tpu_num_cores": "[1, inf)",
    "local_rank": "[-1, inf)",  # -1: not started by a launcher
    "past_index": "[-1, inf)",  # -1: the model returns no past
}
"""Fields that hold whole numbers, with their intervals. Those of one release of transformers alone stand here too."""

REAL = {
    "num_train_epochs": "(0, inf)",
    "learning_rate": "[0, inf)",
    "weight_decay": "[0, inf)",
    "adam_beta1": "[0, 1)",
    "adam_beta2": "[0, 1)",
    "adam_epsilon": "[0, inf)",
    "max_grad_norm": "[0, inf)",  # 0: gradients are not clipped
    "label_smoothing_factor": "[0, 1)",
    "neftune_noise_alpha": "[0, inf)",
    "warmup_ratio": "[0, 1]",
    "warmup_steps": "[0, inf)",
    "logging_steps": "(0, inf)",
    "eval_steps": "(0, inf)",
    "save_steps": "(0, inf)",
    "eval_delay": "[0, inf)",
}
"""The other numbers, with their intervals."""

_SHARES = ("warmup_steps", "logging_steps", "eval_steps", "save_steps")  # below 1: a share of the run's steps
_SEEDS = ("seed", "data_seed")
_REMEDIES = {
    "max_steps": "-1 leaves it to num_train_epochs",
    "num_train_epochs": "max_steps limits a run too, where it is at least 1",
    "logging_steps": "logging_strategy=no logs nothing",
    "eval_steps": "eval_strategy=no evaluates before and after training alone",
    "save_steps": "save_strategy=no saves no checkpoint",
    "save_total_limit": "without it every checkpoint is kept",
    "max_grad_norm": "0 does not clip",
    "seed": "NumPy takes no other",
    "data_seed": "NumPy takes no other",
}


def check_training_arguments(arguments: Any) -> None:
    """Check the numbers among the arguments; a field that is None or that the release does not have is not checked.

    Args:
        arguments: `TrainingArguments`, or anything with their values as attributes.

    Raises:
        LiftError: a number is outside its range or not whole where it must be; the sentence names it, with a remedy.
    """
    for name, interval in (WHOLE | REAL).items():
        value = getattr(arguments, name, None)
        if value is None:
            continue
        try:
            if name in WHOLE:
                check_whole(name, value)
            check_range(name, value, interval)
            if name in _SHARES and value >= 1:
                check_whole(f"{name}, from 1 on,", value)
            if name in _SEEDS:
                check_range(name, value, "[0, 4294967295]")
        except LiftError as error:
            remedy = f": {_REMEDIES[name]}." if name in _REMEDIES else "."
            raise LiftError(str(error).removesuffix(".") + remedy) from None
