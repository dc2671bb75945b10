"""Whose claims a worker's claims are: its ECS task's, or the process's where there is none."""

import http.client
import json
import os
import socket
import time
import urllib.request
from collections.abc import Mapping

from winbatch.errors import WorkerError

_VARIABLE = "ECS_CONTAINER_METADATA_URI_V4"
_PAUSES = (0.2, 1.0, 3.0)
_TIMEOUT = 5.0


def owner(environment: Mapping[str, str]) -> str:
    """The ECS task's ARN; host and process where no ECS agent is around.

    Raises:
        WorkerError: there is an agent, and it does not tell. A claim under any other name could never be given back.
    """
    base = environment.get(_VARIABLE)
    if not base:
        return f"{socket.gethostname()}/{os.getpid()}"
    if not base.startswith(("http://", "https://")):
        raise WorkerError(f"{_VARIABLE} is {base!r}; the ECS agent sets it to an address")
    for pause in (*_PAUSES, None):
        try:
            return _task_arn(f"{base}/task")
        except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
            if pause is None:
                raise WorkerError(
                    f"the ECS agent does not tell the task's ARN: {base}/task: {error!r}; {_VARIABLE} names its address"
                ) from error
            time.sleep(pause)
    raise AssertionError("the last attempt returns or raises")


def _task_arn(url: str) -> str:
    # No proxy: the agent answers on a link-local address.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=_TIMEOUT) as answer:
        return str(json.load(answer)["TaskARN"])
