"""What must hold (`make test`): static checks, fast tests, groups of slow tests, and what a change touches of them.

`rooms.py` maps files to tests, `static.py` has the static checks, `suites.py` the groups of tests; pages that are
generated (`parity.py`, `costs.py`, `module_docs.py`) are here, too. Imports environments and what that may import.
"""
