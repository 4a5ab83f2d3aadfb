"""`LoraArguments`: the options of LoRA and their ranges."""

from __future__ import annotations

from dataclasses import dataclass, field

from lift.errors import LiftError
from lift.fields import check_fields, option
from lift.models.lora.required import require

ALL_LINEAR = "all-linear"


@dataclass
class LoraArguments:
    """LoRA's options, by TRL's names; without `use_peft` every weight is trained.

    Raises:
        LiftError: an option is outside its range, or needs a package that is not installed.
    """

    use_peft: bool = option(False, "Train a LoRA adapter beside the frozen model; else train every weight.")
    lora_r: int = option(16, "Rank of the adapter, at least 1.", within="[1, inf)")
    lora_alpha: int = option(32, "The adapter is scaled by lora_alpha / lora_r; above 0.", within="(0, inf)")
    lora_dropout: float = option(0.05, "Dropout on the adapter's input, in [0, 1).", within="[0, 1)")
    lora_target_modules: list[str] = field(
        default_factory=lambda: [ALL_LINEAR],
        metadata={"help": "Names of the layers that get an adapter; all-linear means all but the output head."},
    )
    lora_modules_to_save: list[str] | None = option(None, "Names of modules to train whole and keep with the adapter.")
    load_in_4bit: bool = option(False, "Hold the frozen model in 4 bits (NF4) through bitsandbytes; needs use_peft.")

    def __post_init__(self) -> None:
        check_fields(self, LoraArguments)
        if ALL_LINEAR in self.lora_target_modules and len(self.lora_target_modules) > 1:
            raise LiftError(f"lora_target_modules: {ALL_LINEAR} stands alone, without names beside it.")
        if self.load_in_4bit and not self.use_peft:
            raise LiftError(
                "load_in_4bit needs use_peft: 4-bit weights cannot be trained, only an adapter beside them."
            )
        if self.use_peft:
            require("peft", "use_peft")
        if self.load_in_4bit:
            require("bitsandbytes", "load_in_4bit")
