"""What a training step of each objective costs."""
