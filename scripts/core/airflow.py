"""Airflow's REST API through MWAA's InvokeRestApi, so that the AWS credentials are the login everywhere."""

import itertools
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from scripts.core.errors import AirflowError

NOT_FOUND = 404
CONFLICT = 409
TOO_LARGE = 413
# The HTTP status from which on a call may have been carried out, or may be when it is made again.
SERVER_ERROR = 500
# How long whoever waits for a job bears an Airflow that does not answer, and the pause between two looks, s.
AIRFLOW_PATIENCE, LOOK_AGAIN = 300.0, 1.0
# Pauses between tries to start a run, s.
ASK_AGAIN = (1.0, 3.0, 10.0)
_PAGE = 100
# What InvokeRestApi takes for a body, in bytes (MWAA guide, "Invoke the Apache Airflow REST API": 6 MB).
BODY_BYTES = 6_000_000
# MWAA's bound on the path of InvokeRestApi, below Airflow's version prefix.
PATH_LENGTH = 64
# MWAA brings the DAG prefix to its workers about this often, s.
SYNC_SECONDS = 30.0


class Airflow:
    """One MWAA environment's Airflow.

    Args:
        client: boto3's `mwaa` client.
        environment: the MWAA environment's name.
    """

    def __init__(self, client: Any, environment: str) -> None:
        self._client = client
        self.environment = environment

    def call(
        self, method: str, path: str, *, body: Mapping[str, Any] | None = None, query: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Call Airflow's API.

        Args:
            method: the HTTP method.
            path: below the API's version, such as `/dags`; see `takes`.
            body: a JSON object.
            query: parameters.

        Raises:
            AirflowError: with Airflow's HTTP status and its own words; without a status when nobody knows whether the
                call was carried out.
        """
        request: dict[str, Any] = {"Name": self.environment, "Path": path, "Method": method}
        if body is not None:
            request["Body"] = dict(body)
            if (size := len(json.dumps(request["Body"]).encode())) > BODY_BYTES:
                raise AirflowError(
                    f"{method} {path} would send {size:,} bytes, and MWAA takes {BODY_BYTES:,} at most: give the job"
                    " fewer or shorter parameters, or an object in S3 that holds them",
                    TOO_LARGE,
                )
        if query is not None:
            request["QueryParameters"] = dict(query)
        try:
            answer = self._client.invoke_rest_api(**request)
        except (ReadTimeoutError, ConnectionClosedError) as error:
            raise AirflowError(f"MWAA did not answer {method} {path} in time: {error}") from error
        except ClientError as error:
            answered: Mapping[str, Any] = {**error.response}
            status = answered.get("RestApiStatusCode")
            if status is None and answered["ResponseMetadata"]["HTTPStatusCode"] >= SERVER_ERROR:
                # It gives Airflow ten seconds, and ends with an error of its own; the call may be carried out still.
                raise AirflowError(f"MWAA could not say what came of {method} {path}: {error}") from error
            if status is None:
                raise
            words = answered.get("RestApiResponse") or {}
            detail = words.get("detail", words) if isinstance(words, Mapping) else words
            raise AirflowError(f"Airflow answered {method} {path} with {status}: {detail}", status) from error
        response = answer.get("RestApiResponse")
        return dict(response) if isinstance(response, Mapping) else {}

    def dag(self, dag: str) -> dict[str, Any] | None:
        """What Airflow knows of a DAG; None when it does not know it."""
        try:
            return self.call("GET", f"/dags/{dag}")
        except AirflowError as error:
            if error.status == NOT_FOUND:
                return None
            raise

    def import_errors(self) -> list[str]:
        """Why DAG files do not import: `file: last line of the traceback`."""
        errors = self.call("GET", "/importErrors").get("import_errors", [])
        return [f"{error.get('filename')}: {_last_line(error.get('stack_trace', ''))}" for error in errors]

    def trigger(self, dag: str, run_id: str, params: Mapping[str, Any], note: str) -> bool:
        """Start a DAG run, once, however often that has to be asked.

        Args:
            dag: DAG id.
            run_id: of its run.
            params: as `conf`.
            note: on the run, by which it is known to be of this call.

        Returns:
            False when somebody else has a run of this id.

        Raises:
            AirflowError: status 404 for an unknown DAG; or Airflow did not answer for a while.
        """
        body = {"dag_run_id": run_id, "conf": dict(params), "logical_date": None, "note": note}
        for pause in (*ASK_AGAIN, None):
            try:
                self.call("POST", f"/dags/{dag}/dagRuns", body=body)
            except AirflowError as error:
                if error.status == CONFLICT:
                    # An earlier try may have been carried out all the same.
                    run = self.run(dag, run_id)
                    return run is not None and run.get("note") == note
                if pause is None or (error.status is not None and error.status < SERVER_ERROR):
                    raise
                time.sleep(pause)
            else:
                return True
        raise AssertionError("the last try returns or raises")

    def unpause(self, dag: str) -> None:
        """Let a DAG's runs begin; asks again while Airflow cannot answer."""
        query = {"update_mask": "is_paused"}
        self._insist(lambda: self.call("PATCH", f"/dags/{dag}", body={"is_paused": False}, query=query))

    def run(self, dag: str, run_id: str) -> dict[str, Any] | None:
        """A DAG run; None when there is none of that id."""
        path = _run_path(dag, run_id)
        if not takes(path):
            return next((run for run in self._listed(dag_ids=[dag]) if run["dag_run_id"] == run_id), None)
        try:
            return self.call("GET", path)
        except AirflowError as error:
            if error.status == NOT_FOUND:
                return None
            raise

    def runs(self, *dags: str, limit: int = 10) -> list[dict[str, Any]]:
        """The last runs of these DAGs, newest first; of all DAGs where none is named."""
        return list(itertools.islice(self._listed(min(limit, _PAGE), dag_ids=list(dags) or None), limit))

    def unfinished(self) -> list[dict[str, Any]]:
        """The DAG runs of every DAG that have not ended, the oldest first."""
        return list(self._listed(states=["running", "queued"], order_by="run_after"))

    def _listed(self, page: int = _PAGE, **wanted: Any) -> Iterator[dict[str, Any]]:
        """DAG runs, page by page; asked for by POST, for ids need not fit into a path."""
        for offset in itertools.count(0, page):
            body = {"order_by": "-run_after", **wanted, "page_limit": page, "page_offset": offset}
            runs = self.call("POST", "/dags/~/dagRuns/list", body=body).get("dag_runs", [])
            yield from runs
            if len(runs) < page:
                return

    def mark_failed(self, dag: str, run_id: str, note: str) -> bool:
        """Mark a DAG run failed; False when MWAA's API cannot name the run.

        Airflow ends its running Airflow tasks, skips what has not begun, and runs the teardown, if its setup was
        reached. A run whose teardown is still to come is failed only after that.
        """
        return self._change(dag, run_id, {"state": "failed", "note": note})

    def note(self, dag: str, run_id: str, note: str) -> bool:
        """Note something on a DAG run, for the Airflow page; False when MWAA's API cannot name the run."""
        return self._change(dag, run_id, {"note": note})

    def _change(self, dag: str, run_id: str, body: Mapping[str, Any]) -> bool:
        path = _run_path(dag, run_id)
        if takes(path):
            self._insist(lambda: self.call("PATCH", path, body=body))
        return takes(path)

    def _insist(self, ask: Callable[[], object], carried_out: Callable[[], bool] = lambda: False) -> None:
        """Call until it is known to be carried out: after ten seconds MWAA gives up, and nobody says what came of it.

        Args:
            ask: the call, which does no harm when it is made again.
            carried_out: looks whether the try before did it, for one that would do harm.

        Raises:
            AirflowError: Airflow refuses, or did not answer for a while.
        """
        for pause in (*ASK_AGAIN, None):
            try:
                ask()
            except AirflowError as error:
                if pause is None or (error.status is not None and error.status < SERVER_ERROR):
                    raise
                time.sleep(pause)
                if carried_out():
                    return
            else:
                return

    def clear(self, dag: str, run_id: str) -> None:
        """Run all of a DAG run's Airflow tasks again. A run that has ended is queued again.

        The run's own endpoint does the same, but its path is too long for MWAA where a DAG's name has more than 13
        characters. Both would only say what they would do, and this one clear failed Airflow tasks alone, were they
        not told otherwise.
        """
        body = {"dag_run_id": run_id, "dry_run": False, "only_failed": False, "reset_dag_runs": True}
        before = self._queued_at(dag, run_id)
        # Twice would clear what runs again by then.
        self._insist(
            lambda: self.call("POST", f"/dags/{dag}/clearTaskInstances", body=body),
            lambda: self._queued_at(dag, run_id) != before,
        )

    def _queued_at(self, dag: str, run_id: str) -> object:
        return (self.run(dag, run_id) or {}).get("queued_at")

    def task_states(self, dag: str, run_id: str) -> list[tuple[str, str | None]]:
        """A run's Airflow tasks, a mapped one once for each index, each with its state; None: not begun."""
        # The run's own list has too long a path for MWAA.
        body = {"dag_ids": [dag], "dag_run_ids": [run_id], "page_limit": 1000}
        answer = self.call("POST", "/dags/~/dagRuns/~/taskInstances/list", body=body)
        return [(instance["task_id"], instance.get("state")) for instance in answer.get("task_instances", [])]

    def failed_tasks(self, dag: str, run_id: str) -> list[str]:
        """The Airflow tasks of a run that failed."""
        return sorted({task for task, state in self.task_states(dag, run_id) if state == "failed"})


def takes(path: str) -> bool:
    """Say whether InvokeRestApi takes a path as it is: by its length, and without a character that would be quoted."""
    return len(path) <= PATH_LENGTH and re.fullmatch(r"[A-Za-z0-9/_.~:+-]+", path) is not None


def _run_path(dag: str, run_id: str) -> str:
    return f"/dags/{dag}/dagRuns/{run_id}"


def bear[T](look: Callable[[], T]) -> T:
    """Look at something, though Airflow may not answer for a while.

    Raises:
        AirflowError: it refuses, or has not answered for minutes.
    """
    began = time.monotonic()
    while True:
        try:
            return look()
        except AirflowError as error:
            refused = error.status is not None and error.status < SERVER_ERROR
            if refused or time.monotonic() - began > AIRFLOW_PATIENCE:
                raise
        time.sleep(LOOK_AGAIN)


def wait_for_dags(
    airflow: Airflow,
    dags: Sequence[str],
    *,
    release: str = "",
    progress: Callable[[str], None],
    timeout: float = 300,
) -> None:
    """Wait until Airflow serves the DAGs, without import errors.

    Args:
        airflow: where.
        dags: ids.
        release: of which release they are to be, as their tags say; empty: of any.
        progress: told what is waited for.
        timeout: s.

    Raises:
        AirflowError: it did not happen, and why.
    """
    began = time.monotonic()
    missing: list[str] = []
    while time.monotonic() - began < timeout:
        missing = [dag for dag in dags if not _serves(airflow, dag, release)]
        errors = airflow.import_errors() if not missing or time.monotonic() - began > SYNC_SECONDS else []
        # Right after a release Airflow may still have the errors of the files before.
        if errors and time.monotonic() - began > 2 * SYNC_SECONDS:
            raise AirflowError(f"Airflow cannot import {errors[0]}; mend it and call: invoke dags.release")
        if not missing and not errors:
            return
        progress(f"{time.monotonic() - began:.0f} s, for {', '.join(missing) or 'its import errors to go'}")
        time.sleep(1.0)
    raise AirflowError(
        f"Airflow did not serve {', '.join(missing)} within {timeout:.0f} s: look at its page (invoke status), and call"
        " again"
    )


def _serves(airflow: Airflow, dag: str, release: str) -> bool:
    known = airflow.dag(dag)
    if known is None or known.get("is_stale"):
        return False
    return not release or f"release:{release}" in {tag["name"] for tag in known.get("tags", [])}


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "no traceback"
