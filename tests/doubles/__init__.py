"""Doubles of masked-diffusion models whose real code lives on the Hub.

Each module holds own minimal code with the class names, attribute names, config fields, `model_type` and forward contract of
the published class, on a tiny bidirectional transformer with random weights. Facts were read in the published code in
November 2026; where a double differs from it on purpose, its docstring says so.
"""
