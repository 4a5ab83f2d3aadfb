"""Peak memory of a training step of each model family, patched and through its logits."""
