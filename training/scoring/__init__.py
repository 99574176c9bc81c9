"""How an evaluation comes to its verdict: metrics, intervals, the comparison with the champion, the gate.

Pure functions of arrays, but :mod:`training.scoring.answers`, which asks a bundle. ``training.evaluate`` reads the
inputs and writes the outputs.
"""
