"""Looks at everything that an environment needs, and says what is doubtful or wrong and what to do.

`check.py` says what a check is, `main.py` which there are and in which order; the others have the checks, a module a
subject. Those of `machine.py` and `account.py` are the preflight's, too. Nothing here changes anything.
"""
