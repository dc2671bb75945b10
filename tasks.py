"""invoke's entry: the verbs are in scripts/cli."""

from scripts.cli import collection

ns = collection()
