"""The Triton kernels and their launchers: no autograd, no checks, nothing of `fallback`; importing one loads triton."""
