"""The fields of `LiftConfig` that can be read without torch: their ranges, and that they are those of `LiftConfig`."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

from lift.errors import LiftError
from lift.training import LiftConfig
from lift.training.batch_options import BatchOptions, TrainerDefaults


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"max_length": 0}, "max_length must be at least 1, got 0."),
        ({"pad_to": "x"}, "pad_to must be one of longest, max_length, got 'x'."),
        ({"pad_to_multiple_of": 0}, "pad_to_multiple_of must be at least 1, got 0."),
        ({"remove_unused_columns": True}, "remove_unused_columns must be False: the collator needs prompt_length"),
        ({"eval_strategy": "often"}, "eval_strategy must be one of no, steps, epoch, got 'often'."),
    ],
)
def test_ranges_hold_here_and_in_the_configuration(tmp_path, options, sentence):
    group = BatchOptions if set(options) <= BatchOptions.__dataclass_fields__.keys() else TrainerDefaults
    check = {BatchOptions: "check_batch_options", TrainerDefaults: "check_defaults"}[group]
    for call in (
        getattr(group(**options), check),
        lambda: LiftConfig(output_dir=str(tmp_path), use_cpu=True, **options),
    ):
        with pytest.raises(LiftError) as error:
            call()
        assert str(error.value).startswith(sentence)


def test_the_defaults_pass_and_win_over_those_of_transformers(tmp_path):
    BatchOptions().check_batch_options()
    TrainerDefaults().check_defaults()
    config = LiftConfig(output_dir=str(tmp_path), use_cpu=True)
    for group in (BatchOptions, TrainerDefaults):
        resolved = {"eval_strategy": "no"} if group is TrainerDefaults else {}
        values = {f.name: getattr(config, f.name) for f in dataclasses.fields(group)}
        assert values == dataclasses.asdict(group()) | resolved
    assert (config.remove_unused_columns, config.disable_tqdm, config.logging_nan_inf_filter) == (False, False, False)


def test_they_load_without_torch():
    code = "import sys, lift.training.batch_options; print('torch' in sys.modules, 'transformers' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.split() == ["False", "False"]
