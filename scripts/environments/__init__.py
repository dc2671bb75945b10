"""Brings environments up, changes them and takes them down: the order of what the rooms below do.

`lifecycle.py` has up, plan, apply and down, `setup.py` what must be there before, `foundation.py` the bucket of the
state and the pipeline's roles. Imports jobs, dag_releases, images, terraform, tools and core.
"""
