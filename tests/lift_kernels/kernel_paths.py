"""The ways through the Triton backend of the linear head, see the fixture `take_kernel_path`."""

KERNEL_PATHS = ("one-chunk", "many-chunks", "on-chip")
