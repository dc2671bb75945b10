"""invoke's entry: the verbs are in scripts/commands.py."""

from scripts.commands import collection

ns = collection()
