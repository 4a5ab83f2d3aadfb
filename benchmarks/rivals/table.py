"""Every rival by the name of its row."""

from __future__ import annotations

from benchmarks.rivals import cut_cross_entropy, liger, plain_logits, quack, torch_fused, trl
from benchmarks.rivals.plain_logits import COMPILED, PLAIN
from benchmarks.rivals.rival import Rival

BASELINES: dict[str, Rival] = plain_logits.RIVALS
PACKAGES: dict[str, Rival] = quack.RIVALS | liger.RIVALS | cut_cross_entropy.RIVALS | trl.RIVALS | torch_fused.RIVALS
RIVALS: dict[str, Rival] = BASELINES | PACKAGES

__all__ = ["BASELINES", "COMPILED", "PACKAGES", "PLAIN", "RIVALS"]
