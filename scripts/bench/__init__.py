"""`make bench`: what is promised in numbers, measured (docs/bench.md); a module a part, `main.py` has their order.

Imports chaos, checks and what these may import.
"""
