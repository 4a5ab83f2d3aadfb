"""`lift compare --methods`: runs of `lift train` by several methods and seeds, and what they say of the methods."""
