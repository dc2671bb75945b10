"""`invoke chaos`: real faults on the real stack; each module has one part of it (docs/decisions/0238).

Imports checks and what that may import.
"""
