"""Holds the programs that the project starts: each is found on the machine, or fetched into the cache folder.

Terraform's command and its provider, uv, Airflow, checkov, actionlint, a browser, Debian's programs, the emulator.
It imports core, and scripts/bootstrap.py, which makes `.venv`.
"""
