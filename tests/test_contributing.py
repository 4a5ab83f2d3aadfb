"""What CONTRIBUTING tells a newcomer to type works."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from lift import METHODS, LiftTrainer
from lift.objectives import Method, diffusion_time, draw_uniforms, step_seed
from lift.tasks import sudoku
from lift_kernels import corrupt_tokens
from tests.lift.support.tiny import tiny_config, tiny_model, tiny_rows

CONTRIBUTING = Path(__file__).resolve().parents[1] / "CONTRIBUTING.md"


def code_of(section: str) -> list[str]:
    text = CONTRIBUTING.read_text(encoding="utf-8")
    (body,) = re.findall(rf"(?ms)^## {section}$(.*?)(?=^## |\Z)", text)
    return re.findall(r"(?s)```python\n(.*?)```", body)


@pytest.fixture
def plain(monkeypatch) -> None:
    """The objective of CONTRIBUTING, added as it says: one file and one line."""
    source, line = code_of("Adding an objective")
    module = ModuleType("lift.objectives.plain")
    exec(compile(source, "plain.py", "exec"), module.__dict__)
    monkeypatch.setitem(sys.modules, "lift.objectives.plain", module)
    for name, method in eval("{" + line + "}", {"Method": Method}).items():
        monkeypatch.setitem(METHODS, name, method)


def test_an_objective_is_a_file_and_a_line(plain, tmp_path):
    model = tiny_model()
    trainer = LiftTrainer(
        model=model, args=tiny_config(tmp_path, method="plain"), train_dataset=tiny_rows(),
        processing_class=sudoku.build_tokenizer(),
    )  # fmt: skip
    inputs = trainer.data_collator([trainer.train_dataset[i] for i in range(8)])
    seed = step_seed(trainer.args.seed, 0)
    time = diffusion_time(draw_uniforms(seed, inputs["example_id"])[0])
    noisy = corrupt_tokens(
        inputs["input_ids"], time, mask_token_id=1, seed=seed, maskable=inputs["maskable"], row_ids=inputs["example_id"]
    )
    with torch.no_grad():
        log_prob = model(input_ids=noisy.input_ids).logits.log_softmax(-1)
    gold = log_prob.gather(-1, inputs["input_ids"][..., None])[..., 0]
    loss = trainer.compute_loss(model, inputs)
    assert loss.item() == pytest.approx((-gold[noisy.is_masked].sum() / inputs["maskable"].sum()).item(), rel=1e-5)
    trainer.train()
