"""`invoke verify-aws`: asks AWS itself whether it does what the local AWS does, in an environment of its own.

Imports checks and what that may import.
"""
