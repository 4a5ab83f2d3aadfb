"""The memory-bounded implementations in torch, which run on any device; they import nothing of `kernels`."""
