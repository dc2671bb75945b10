"""MWAA's API: one method an operation, called by moto's dispatcher."""

from __future__ import annotations

import base64
import binascii
import http.client
import logging
from typing import Any

from moto.core.responses import ActionResult, BaseResponse

from emulator.mwaa import validation
from emulator.mwaa.configuration import LOGIN
from emulator.mwaa.environment import READY, Environment
from emulator.mwaa.exceptions import (
    ResourceNotFoundException,
    RestApiClientException,
    RestApiServerException,
    ValidationException,
)
from emulator.mwaa.models import MwaaBackend, mwaa_backends

log = logging.getLogger(__name__)


class MwaaResponse(BaseResponse):
    """One request."""

    def __init__(self) -> None:
        super().__init__(service_name="mwaa")
        self.automated_parameter_parsing = True

    @property
    def _backend(self) -> MwaaBackend:
        backend: MwaaBackend = mwaa_backends[self.current_account][self.region]
        return backend

    def create_environment(self) -> ActionResult:
        """Answer CreateEnvironment, after which the environment is made."""
        parameters = self._parameters("CreateEnvironment")
        environment = self._backend.create(parameters.pop("Name"), parameters)
        return ActionResult({"Arn": environment.identity.arn})

    def get_environment(self) -> ActionResult:
        """Answer GetEnvironment."""
        return ActionResult({"Environment": self._environment("GetEnvironment").describe()})

    def update_environment(self) -> ActionResult:
        """Answer UpdateEnvironment, after which the environment changes."""
        parameters = self._parameters("UpdateEnvironment")
        environment = self._backend.update(parameters.pop("Name"), parameters)
        return ActionResult({"Arn": environment.identity.arn})

    def delete_environment(self) -> ActionResult:
        """Answer DeleteEnvironment."""
        self._backend.delete(self._parameters("DeleteEnvironment")["Name"])
        return ActionResult({})

    def list_environments(self) -> ActionResult:
        """Answer ListEnvironments, page by page."""
        parameters = self._parameters("ListEnvironments")
        after = _decode(parameters.get("NextToken") or "")
        names, last = self._backend.names(after, parameters.get("MaxResults"))
        result: dict[str, Any] = {"Environments": names}
        if last is not None:
            result["NextToken"] = base64.b64encode(last.encode()).decode()
        return ActionResult(result)

    def tag_resource(self) -> ActionResult:
        """Answer TagResource."""
        parameters = self._parameters("TagResource")
        self._backend.by_arn(parameters["ResourceArn"]).tags.update(parameters["Tags"])
        return ActionResult({})

    def untag_resource(self) -> ActionResult:
        """Answer UntagResource."""
        parameters = self._parameters("UntagResource")
        tags = self._backend.by_arn(parameters["ResourceArn"]).tags
        for key in parameters["tagKeys"]:
            tags.pop(key, None)
        return ActionResult({})

    def list_tags_for_resource(self) -> ActionResult:
        """Answer ListTagsForResource."""
        parameters = self._parameters("ListTagsForResource")
        return ActionResult({"Tags": dict(self._backend.by_arn(parameters["ResourceArn"]).tags)})

    def create_web_login_token(self) -> ActionResult:
        """Answer CreateWebLoginToken with a token of Airflow's."""
        environment = self._running("CreateWebLoginToken")
        identity = {"IamIdentity": f"assumed-role/{LOGIN}", "AirflowIdentity": LOGIN}
        return ActionResult({"WebToken": environment.client.token(), "WebServerHostname": environment.host, **identity})

    def create_cli_token(self) -> ActionResult:
        """Answer CreateCliToken with a token of Airflow's."""
        environment = self._running("CreateCliToken")
        return ActionResult({"CliToken": environment.client.token(), "WebServerHostname": environment.host})

    def invoke_rest_api(self) -> ActionResult:
        """Answer InvokeRestApi with what Airflow answers.

        Raises:
            ValidationException: the path leaves Airflow's API, or the answer or the request is too large
            RestApiClientException: Airflow answers with a status from 400 on
            RestApiServerException: it answers with one from 500 on, or not at all
        """
        parameters = self._parameters("InvokeRestApi")
        environment = self._running("InvokeRestApi")
        path = "/" + parameters["Path"].removeprefix("/")
        if any(part in {".", ".."} for part in path.split("/")):
            raise ValidationException(f"The path {path} must not leave Airflow's API.")
        query, body = parameters.get("QueryParameters"), parameters.get("Body")
        try:
            answer = environment.client.invoke(parameters["Method"], path, query, body)
        except ValueError as error:
            raise ValidationException(f"InvokeRestApi takes 6 MB: {error}.") from error
        except TimeoutError as error:
            log.warning("%s %s: no answer in time", parameters["Method"], path)
            raise RestApiServerException(504, {"detail": "Airflow did not answer within 10 seconds"}) from error
        except (OSError, http.client.HTTPException) as error:
            log.warning("%s %s: %s", parameters["Method"], path, error)
            raise RestApiServerException(503, {"detail": f"Airflow does not answer: {error}"}) from error
        if answer.status >= 500:  # noqa: PLR2004 - HTTP's border between the server's and the client's faults
            raise RestApiServerException(answer.status, answer.body)
        if answer.status >= 400:  # noqa: PLR2004
            raise RestApiClientException(answer.status, answer.body)
        return ActionResult({"RestApiStatusCode": answer.status, "RestApiResponse": answer.body})

    def publish_metrics(self) -> ActionResult:
        """Answer PublishMetrics, which AWS's agents called, and forget it."""
        self._parameters("PublishMetrics")
        return ActionResult({})

    def _parameters(self, operation: str) -> dict[str, Any]:
        parameters = dict(self._get_params())
        validation.check(operation, parameters)
        return parameters

    def _environment(self, operation: str) -> Environment:
        return self._backend.get(self._parameters(operation)["Name"])

    def _running(self, operation: str) -> Environment:
        environment = self._environment(operation)
        if environment.status not in READY | {"UPDATING"}:
            raise ResourceNotFoundException(
                f"Environment {environment.identity.name} is not available: its status is {environment.status}."
            )
        return environment


def _decode(token: str) -> str:
    try:
        return base64.b64decode(token, validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise ValidationException(f"Invalid NextToken {token}.") from error
