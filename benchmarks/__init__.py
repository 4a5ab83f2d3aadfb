"""Benchmarks: accuracy first, then time and memory. See benchmarks/README.md for the commands."""
