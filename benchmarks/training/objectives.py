"""The objectives whose steps are compared: what each changes in `LiftConfig`."""

from __future__ import annotations

from typing import Any

SFT = "sft"
OBJECTIVES: dict[str, dict[str, Any]] = {
    SFT: {"method": "sft"},
    "lift3": {"method": "lift3"},
    "lift2": {"method": "lift2"},
    "gift": {"method": "gift"},
    "cart": {"method": "cart"},
    "mirror": {"method": "mirror"},
    "blockwise": {"method": "blockwise"},
    "confidence": {"method": "confidence"},
    "puma": {"method": "puma"},
    "margin": {"method": "margin"},
    "lift3, one forward": {"method": "lift3", "one_forward": True},
    "lift3, one forward, soft": {"method": "lift3", "one_forward": True, "learnability": "soft"},
    "lift3, cache": {"method": "lift3", "score_source": "cache"},
    "lift3, frequency": {"method": "lift3", "score_source": "frequency"},
    "lift3, complementary": {"method": "lift3", "complementary": True},
}
