"""`LoraArguments`: the options of LoRA and their ranges."""

from __future__ import annotations

from dataclasses import dataclass, field

from lift.errors import LiftError
from lift.models.lora.required import require

ALL_LINEAR = "all-linear"


@dataclass
class LoraArguments:
    """LoRA's options, by TRL's names; without `use_peft` every weight is trained.

    Raises:
        LiftError: an option is outside its range, or needs a package that is not installed.
    """

    use_peft: bool = field(
        default=False, metadata={"help": "Train a LoRA adapter beside the frozen model; else train every weight."}
    )
    lora_r: int = field(default=16, metadata={"help": "Rank of the adapter, at least 1."})
    lora_alpha: int = field(default=32, metadata={"help": "The adapter is scaled by lora_alpha / lora_r; above 0."})
    lora_dropout: float = field(default=0.05, metadata={"help": "Dropout on the adapter's input, in [0, 1)."})
    lora_target_modules: list[str] = field(
        default_factory=lambda: [ALL_LINEAR],
        metadata={"help": "Names of the layers that get an adapter; all-linear means all but the output head."},
    )
    lora_modules_to_save: list[str] | None = field(
        default=None, metadata={"help": "Names of modules to train whole and keep with the adapter."}
    )
    load_in_4bit: bool = field(
        default=False, metadata={"help": "Hold the frozen model in 4 bits (NF4) through bitsandbytes; needs use_peft."}
    )

    def __post_init__(self) -> None:
        for name, is_inside, wanted in (
            ("lora_r", self.lora_r >= 1, "at least 1"),
            ("lora_alpha", self.lora_alpha > 0, "above 0"),
            ("lora_dropout", 0 <= self.lora_dropout < 1, "at least 0 and below 1"),
        ):
            if not is_inside:
                raise LiftError(f"{name} must be {wanted}, got {getattr(self, name)}.")
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
