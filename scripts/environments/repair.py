"""Bring Airflow back that MWAA has left unusable, as far as that goes."""

import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from scripts.core.console import Steps
from scripts.core.errors import AirflowError
from scripts.terraform.imports import AIRFLOW_GONE, AIRFLOW_READY
from scripts.terraform.workspace import Outputs, Workspace

LOOK_SECONDS = 5.0
# An update takes MWAA half an hour, and undoing it as long again; after this, waiting is no answer.
LONGEST_SECONDS = 2 * 3600.0


def airflow(workspace: Workspace, outputs: Outputs, steps: Steps) -> None:
    """Wait until Airflow can be used; have MWAA make it anew where an update failed and undoing that failed, too.

    Raises:
        AirflowError: MWAA does not bring it back; the line says why, and what is left to do.
    """
    client, name = workspace.aws.client("mwaa"), outputs.mwaa_environment
    if _look(client, name)["Status"] in AIRFLOW_READY:
        return
    anew = f"aws mwaa delete-environment --name {name}, wait, and call again"
    with steps.step("Bring Airflow back") as step:
        step.detail = bring_back(
            client, name, step.update, anew="invoke down, then invoke up" if workspace.settings.local else anew
        )


def bring_back(
    client: Any, name: str, tell: Callable[[str], None], *, anew: str, sleep: Callable[[float], None] = time.sleep
) -> str:
    """Bring an MWAA environment back.

    AWS documents UNAVAILABLE as "did not return to its previous state and is not stable" (GetEnvironment), and not
    whether it takes an UpdateEnvironment then. That is assumed; one without a change asks for nothing but that its
    parts be started anew, and a refusal is told.

    Args:
        client: boto3's `mwaa` client.
        name: the environment's.
        tell: takes its state while that is waited for.
        anew: how a person has it made anew, where it does not come back.
        sleep: waits so many seconds.

    Returns:
        Its state.

    Raises:
        AirflowError: it does not come back.
    """
    waited, asked = 0.0, False
    while True:
        found = _look(client, name)
        status, last = str(found["Status"]), found.get("LastUpdate", {})
        why = str(last.get("Error", {}).get("ErrorMessage", "")) or "MWAA does not say why"
        left = (
            f"mend that and call again, or have it made anew ({anew}): it loses the history of its runs, and what"
            " jobs have left in S3 stays"
        )
        if status in AIRFLOW_READY:
            return status
        if status in AIRFLOW_GONE and not (asked and last.get("Status") == "PENDING"):
            if asked or status != "UNAVAILABLE":
                raise AirflowError(f"Airflow of {name} is {status} and does not come back ({why}): {left}")
            try:
                client.update_environment(Name=name)
            except ClientError as error:
                raise AirflowError(f"Airflow of {name} is {status} ({why}), and AWS refuses {error}: {left}") from error
            asked = True
        if waited > LONGEST_SECONDS:
            raise AirflowError(f"Airflow of {name} is {status} for two hours ({why}): {left}")
        tell(status)
        sleep(LOOK_SECONDS)
        waited += LOOK_SECONDS


def _look(client: Any, name: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get_environment(Name=name)["Environment"]
    return found
