"""IAM as the local AWS decides it: who calls, what a call needs, whether policies allow it, what a statement was for.

`patterns`, `conditions`, `documents` and `evaluation` are pure: policies and a request in, a decision out. `reference`
knows which actions, resources and condition keys there are; `mapping` makes of a call what is to be decided;
`principals` and `state` read what the emulator has; `gate` puts them together for each request, `ledger` remembers.
"""
