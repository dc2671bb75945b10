"""Releases the DAGs: checks them, keeps each release in the DAG bucket, has Airflow serve one.

`publish.py` is what others call. Imports images, terraform, tools and core.
"""
