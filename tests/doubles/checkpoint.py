"""Checkpoint folders with code of their own, laid out as the published ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.doubles import a2d_qwen3, dream, llada, llada2_moe, llada_moe

# name -> (module, configuration class, what auto_map names in the published config.json)
FAMILIES = {
    "llada": (llada, "LLaDAConfig", {"AutoModelForCausalLM": "LLaDAModelLM", "AutoModel": "LLaDAModelLM"}),
    "llada_moe": (
        llada_moe, "LLaDAConfig", {"AutoModelForCausalLM": "LLaDAMoEModelLM", "AutoModel": "LLaDAMoEModelLM"},
    ),
    "llada2_moe": (
        llada2_moe, "LLaDA2MoeConfig", {"AutoModelForCausalLM": "LLaDA2MoeModelLM", "AutoModel": "LLaDA2MoeModel"},
    ),
    "dream": (dream, "DreamConfig", {"AutoModel": "DreamModel"}),
    "a2d_qwen3": (a2d_qwen3, "A2DQwen3Config", {"AutoModelForMaskedLM": "A2DQwen3LMHeadModel"}),
    "sdar": (a2d_qwen3, "SDARConfig", {"AutoModelForCausalLM": "SDARForCausalLM", "AutoModel": "SDARForCausalLM"}),
}  # fmt: skip


def write_checkpoint(folder: Path, family: str, *, code: str = "", **fields: Any) -> Any:
    """Save a double with its code, followed by `code`, and return it; `fields` go to its configuration."""
    module, config_class, classes = FAMILIES[family]
    model_class = next(iter(classes.values()))
    model = getattr(module, model_class)(getattr(module, config_class)(**fields)).eval()
    model.save_pretrained(folder)
    for name in ("layers", "moe"):
        (folder / f"{name}.py").write_text((Path(__file__).parent / f"{name}.py").read_text())
    (folder / f"modeling_{family}.py").write_text(Path(str(module.__file__)).read_text() + code)
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {
        auto_class: f"modeling_{family}.{name}" for auto_class, name in {"AutoConfig": config_class, **classes}.items()
    }
    (folder / "config.json").write_text(json.dumps(config))
    return model
