"""What differs between the versions of transformers that this project runs on, from 4.57 to 5.23.

Each function says what differs, since when, and what lets it go; whoever needs the difference calls it and looks at no
version. `remote_code` holds the rest: what the code inside checkpoints, written for transformers 4, lacks under 5.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from typing import Any

PACKING_SINCE = (5, 1)
# A model's own switch for checkpointing by its new and its old name; the new one since 5.23, the old one until 6.
CHECKPOINTING_SWITCHES = ("activation_checkpointing_enable", "gradient_checkpointing_enable")


def version_name() -> str:
    """Return the version of the transformers that is installed, such as "5.23.0", without importing it."""
    return metadata.version("transformers")


def transformers_version() -> tuple[int, int]:
    """Return the major and minor number of that version."""
    major, minor = re.findall(r"\d+", version_name())[:2]
    return int(major), int(minor)


def is_transformers_4() -> bool:
    """Return whether code written for transformers 4 runs as it is; goes when 5 is the oldest version supported."""
    return transformers_version() < (5, 0)


def keeps_packed_examples_apart() -> bool:
    """Return whether the models of transformers obey a mask (B, 1, L, L), which some overlook or reject before 5.1.

    Goes when 5.1 is the oldest version supported.
    """
    return transformers_version() >= PACKING_SINCE


def enable_own_checkpointing(model: Any, options: Mapping[str, Any]) -> bool:
    """Switch on the gradient checkpointing that `model` offers itself; return False where it has none or refuses.

    5.23 renamed the method and its argument, and warns of the old names. Goes when 5.23 is the oldest version
    supported; the call then stands alone.

    Args:
        model: a model of transformers, not wrapped.
        options: arguments of `torch.utils.checkpoint.checkpoint`.
    """
    new, old = CHECKPOINTING_SWITCHES
    try:
        if hasattr(model, new):
            getattr(model, new)(activation_checkpointing_kwargs=dict(options))
        else:
            getattr(model, old)(gradient_checkpointing_kwargs=dict(options))
    except (AttributeError, NotImplementedError, TypeError, ValueError):
        return False
    return True


def take_old_checkpointing_names(args: Any) -> None:
    """Let training arguments be given as `gradient_checkpointing`, their name before 5.23, without a warning.

    To be called before `TrainingArguments.__post_init__`, which gives both names the same value. Goes when the public
    option is `activation_checkpointing`, at the latest with 6, which has no other.
    """
    for old in ("gradient_checkpointing", "gradient_checkpointing_kwargs"):
        new = old.replace("gradient", "activation")
        if getattr(args, new, False) is None:
            setattr(args, new, getattr(args, old))


def set_checkpointing_options(args: Any, options: Mapping[str, Any]) -> None:
    """Set the options of checkpointing in training arguments, under both names where there are two (since 5.23).

    Goes as `take_old_checkpointing_names` does.
    """
    args.gradient_checkpointing_kwargs = dict(options)
    if hasattr(args, "activation_checkpointing_kwargs"):
        args.activation_checkpointing_kwargs = args.gradient_checkpointing_kwargs


@contextmanager
def without_renaming_notice() -> Iterator[None]:
    """Hide what 5.23 says where peft (0.21) asks a model for `is_gradient_checkpointing`, the old name.

    Goes with the peft that asks by the new one.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        yield


def groups_by_length(args: Any) -> bool:
    """Return whether training arguments ask for neighbours of similar length.

    They do so by `train_sampling_strategy="group_by_length"`, before 5 by `group_by_length=True`. The latter stays as
    long as other trainers' arguments have it (dLLM's).
    """
    strategy = getattr(args, "train_sampling_strategy", None)
    return strategy == "group_by_length" or bool(getattr(args, "group_by_length", False))


def fsdp_plugin_arguments(args: Any) -> dict[str, Any] | None:
    """Return the arguments of accelerate's FSDP plug-in that training arguments were given, or None.

    Before 5 they stand in the environment alone, where the plug-in finds them by itself. Goes when 5 is the oldest
    version supported.
    """
    return getattr(args, "fsdp_plugin_args", None)


def keep_tensorboard_in_output_dir(args: Any, callbacks: Iterable[Any]) -> None:
    """Let TensorBoard write to `output_dir/runs` whatever is logged first; TENSORBOARD_LOGGING_DIR still wins.

    Since 5, the callback finds that folder where training begins, and what an evaluation logs before goes to ./runs of
    the working folder, which then stays its place. Goes with the release that finds it earlier.
    """
    for callback in callbacks:
        if type(callback).__name__ == "TensorBoardCallback" and getattr(callback, "logging_dir", "") is None:
            from transformers.integrations.integration_utils import default_logdir

            callback.logging_dir = os.path.join(args.output_dir, default_logdir())
