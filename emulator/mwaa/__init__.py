"""The emulated Amazon MWAA: environments with a real Airflow of the version asked for behind them.

moto has no MWAA, so this is a service of its own in moto's terms, and moto's dispatcher finds it like the others.

`service` puts it there; `environment` one environment's life; `airflow` its processes; `environment_builder` makes
Airflow's interpreters, also ahead of time, when nothing of moto need be imported.
"""
