"""The errors of MWAA's API.

moto.core.exceptions.ServiceException
├── ValidationException
├── ResourceNotFoundException
├── RestApiClientException
└── RestApiServerException
"""

from __future__ import annotations

from typing import Any

from moto.core.exceptions import ServiceException


class ValidationException(ServiceException):
    """A parameter, or the environment's state, does not allow the call."""

    code = "ValidationException"


class ResourceNotFoundException(ServiceException):
    """There is no such environment."""

    code = "ResourceNotFoundException"


class _RestApiException(ServiceException):
    def __init__(self, status: int, body: Any) -> None:
        super().__init__(f"Airflow answered {status}")
        self.RestApiStatusCode = status
        self.RestApiResponse = body


class RestApiClientException(_RestApiException):
    """Airflow's API says that the call is wrong (4xx)."""

    code = "RestApiClientException"


class RestApiServerException(_RestApiException):
    """Airflow's API failed (5xx)."""

    code = "RestApiServerException"
