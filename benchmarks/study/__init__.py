"""Where LIFT helps, ties and hurts: the study of PROTOCOL.md beside this file, run by `python -m benchmarks.study`."""
