"""Starts jobs, follows them and takes them in hand: fetch, cancel, resume, logs, replay, an item tried here, files.

`runs.py` is a job as the others know it. Imports images, terraform, tools and core.
"""
