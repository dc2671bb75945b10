"""`make bench`: what is promised in numbers, measured (docs/bench.md)."""
