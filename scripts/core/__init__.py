"""Holds what every room uses: settings, errors, the console, files that people name, the checkout, AWS, Airflow's API.

It imports no other room of scripts.
"""
