"""One simulated world under a seed: AWS, hosts, workers, Airflow and people around the real code of `winbatch`.

The engine with its driver, the orchestration of a job, the claims of workers, cancelling and resuming are the product's
own; simulated are S3, ECS, Auto Scaling, containers with their programs, Airflow's processes, and time.

========== ==========================================================
`clock`     time, and what happens by itself
`s3`        the data bucket
`throttles` AWS's token buckets
`cloud`     hosts, ECS tasks, the Auto Scaling group; AWS's limits
`containers` workers that claim shards and run items
`ports`     what one process sees of the world, and what can hinder it
`walking`   claims on a large stage, by an index
`airflow`   DAG runs: tasks, tries, reschedules, kills, clears
`faults`    the mix of faults, drawn by seed
`scenario`  all that is drawn for a world before it begins
`checkers`  what must hold, a module each: after each event, over time, at the end
`stages`    a cluster with stages ticked by hand, for the engine's tests and the bench
`world`     all of it together, for a scenario
`running`   many worlds, those that failed once first
`shrinking` a world that failed, made smaller
========== ==========================================================

Imports go down this list's order only; nothing here is imported by what it simulates.
"""
