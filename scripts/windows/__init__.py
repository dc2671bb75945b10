"""Builds Windows images without Windows and without a container engine. Imports tools and core.

`staging.py` runs inside Docker's builds, too, where nothing else of scripts is there.
"""
