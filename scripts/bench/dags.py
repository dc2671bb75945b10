"""What a release of the DAGs costs whoever parses it, in the Airflow environment that the local MWAA uses."""

from collections.abc import Callable

from scripts.bench.figures import Figure
from scripts.core.errors import BenchError, ReleaseError
from scripts.core.settings import Settings
from scripts.dag_releases import parsing, store

MAX_PARSE_MS = 50.0


def measure(settings: Settings, runs: int, progress: Callable[[str], None]) -> list[Figure]:
    """Parse the DAGs as they are released, in as many fresh interpreters.

    Raises:
        BenchError: they do not parse.
    """
    made = store.Release({**store.collect(settings.dags), store.DEPLOYMENT: b'{"workloads": {}}'})
    milliseconds, calls = [], []
    for number in range(runs):
        progress(f"{number + 1} of {runs}")
        try:
            parsed = parsing.parse(settings, made, progress)
        except ReleaseError as error:
            raise BenchError(str(error)) from error
        milliseconds.append(parsed.seconds * 1000)
        calls.append(len(parsed.tried))
    compared = f"the same interpreter with Airflow imported and a DAG of one Airflow task; {len(parsed.dags)} DAGs"
    return [
        Figure(
            name="dag.parse_ms_over_airflow_import",
            values=milliseconds,
            unit="ms",
            bound=MAX_PARSE_MS,
            compared_with=compared,
        ),
        Figure(name="dag.parse_aws_calls", values=calls, bound=0, compared_with="connections tried while parsing"),
    ]
