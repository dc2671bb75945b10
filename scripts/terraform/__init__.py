"""Runs Terraform for an environment: plans, shows, saves and applies, and mends what an interrupted run has left.

`workspace.py` is one environment as all commands see it: its AWS, its Terraform, its outputs. Imports tools and core.
"""
