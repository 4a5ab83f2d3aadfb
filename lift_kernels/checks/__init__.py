"""Argument checks shared by the public ops and the patch, one for each meaning, and the wording of their errors.

Every error names the function called and the argument. No check reads a tensor's values on an accelerator: that would
synchronise the device.
"""

from lift_kernels.checks.distributed import local, local_head
from lift_kernels.checks.entries import (
    check_denominator,
    check_entries,
    check_finite,
    check_token_weight,
    has_values,
    is_on_host,
)
from lift_kernels.checks.head import (
    check_count,
    check_exclude_index,
    check_head_options,
    check_linear,
    check_num_targets,
    check_targets,
    check_vocabulary,
    check_workspace_bytes,
)
from lift_kernels.checks.naming import errors_of
from lift_kernels.checks.numbers import (
    check_backend,
    check_bool,
    check_choice,
    check_int,
    check_positive,
    check_share,
    check_temperature,
)
from lift_kernels.checks.rows import (
    check_num_keep,
    check_order,
    check_rows,
    check_seed,
    check_seed_given,
    check_timestep,
)
from lift_kernels.checks.tensors import (
    check_constant,
    check_dtype,
    check_floating,
    check_integer,
    check_same_device,
    check_shape,
    check_tensor,
)
from lift_kernels.checks.transforms import refuse_transforms, requires_grad

__all__ = [
    "check_backend",
    "check_bool",
    "check_choice",
    "check_constant",
    "check_count",
    "check_denominator",
    "check_dtype",
    "check_entries",
    "check_exclude_index",
    "check_finite",
    "check_floating",
    "check_head_options",
    "check_int",
    "check_integer",
    "check_linear",
    "check_num_keep",
    "check_num_targets",
    "check_order",
    "check_positive",
    "check_rows",
    "check_same_device",
    "check_seed",
    "check_seed_given",
    "check_shape",
    "check_share",
    "check_targets",
    "check_temperature",
    "check_tensor",
    "check_timestep",
    "check_token_weight",
    "check_vocabulary",
    "check_workspace_bytes",
    "errors_of",
    "has_values",
    "is_on_host",
    "local",
    "local_head",
    "refuse_transforms",
    "requires_grad",
]
