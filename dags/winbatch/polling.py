"""What the DAG's shape and the Airflow tasks that run have in common, without the engine: parsing a DAG loads this."""

ALL = "all"
"""The one group of a stage that has too many of them, or too few items."""

FOLLOW_SECONDS = 60.0
"""A sensor that follows another looks at least so often."""
