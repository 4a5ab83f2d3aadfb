"""Statistics of labelled tokens, with the runner-up, are those of the model's own logits, which are not made."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, get_peft_model

from lift_kernels import apply_lift_kernels
from lift_kernels.models import labelled_token_stats
from tests.lift_kernels.tiny_models import TINY, TINY_MODELS, B, L, LogitsSeen, V, build, labels_for, own_logits


def expect_own(stats, logits, labels, tolerance):
    """Compares with the logits (B, L, V) at the labels (B, L), in their order."""
    log_p = logits.log_softmax(-1)[labels != -100]
    targets = labels[labels != -100]
    top = log_p.topk(2).values
    truth = {
        "log_prob": log_p.gather(1, targets[:, None])[:, 0], "entropy": -(log_p.exp() * log_p).sum(-1),
        "max_log_prob": top[:, 0], "runner_up_log_prob": top[:, 1], "argmax": log_p.argmax(-1),
        "rank": 1 + (log_p > log_p.gather(1, targets[:, None])).sum(-1),
    }  # fmt: skip
    for name, expected in truth.items():
        ours = getattr(stats, name).to(expected.dtype)
        torch.testing.assert_close(ours, expected, rtol=tolerance, atol=tolerance, msg=lambda m, n=name: f"{n} {m}")


@pytest.mark.parametrize("name", [name for name in TINY_MODELS if name != "diffusion-gemma"])
def test_they_are_those_of_the_models_own_logits(name):
    model, inputs, labels = build(name).eval(), TINY_MODELS[name].inputs(TINY), labels_for(name)
    with torch.no_grad():
        logits = own_logits(name, model, inputs)
        apply_lift_kernels(model)
        with LogitsSeen(B * L, V) as seen:
            stats = labelled_token_stats(model, inputs, labels)
    assert not seen.found and stats.log_prob.shape == ((labels != -100).sum(),)
    expect_own(stats, logits, labels, 1e-5 if TINY_MODELS[name].float32_logits else 1e-8)


def test_an_adapter_on_the_head_counts_and_an_excluded_entry_does_not():
    model, labels = build("bert").eval(), labels_for("bert")
    wrapped = get_peft_model(model, LoraConfig(r=2, target_modules=["predictions.decoder"], init_lora_weights=False))
    wrapped.eval()
    inputs = TINY_MODELS["bert"].inputs(TINY)
    with torch.no_grad():
        logits = wrapped(**inputs).logits.index_fill(-1, torch.tensor([V - 1]), -torch.inf)
    labels[labels == V - 1] = 0
    apply_lift_kernels(wrapped, exclude_index=V - 1)
    stats = labelled_token_stats(wrapped, inputs, labels)
    log_p = logits.log_softmax(-1)[labels != -100]
    torch.testing.assert_close(stats.runner_up_log_prob, log_p.topk(2).values[:, 1], rtol=1e-6, atol=1e-8)


def test_no_label_gives_nothing():
    model = apply_lift_kernels(build("bert").eval())
    inputs = TINY_MODELS["bert"].inputs(TINY)
    assert labelled_token_stats(model, inputs, torch.full((B, L), -100)).log_prob.shape == (0,)
