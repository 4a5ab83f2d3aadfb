"""What a step of the sampler costs, with logits and without."""
