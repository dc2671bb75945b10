"""Builds and pushes the workloads' images, and begins a new workload's folder (`scaffold.py`, `workload_files/`).

`workload_images.py` is what others call: Linux images are made here, Windows images by the room windows. Imports
windows, terraform, tools and core.
"""
