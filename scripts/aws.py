"""boto3 for one environment: the real AWS with the caller's credentials, or the emulator with none."""

from collections.abc import Iterator, Mapping
from typing import Any

import boto3
from botocore.config import Config

# The emulator takes any; a real key can never reach it, and a local command can never reach a real account.
LOCAL_CREDENTIALS = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}


class Aws:
    """Clients for one environment.

    Args:
        region: AWS region.
        endpoint_url: the emulator's address; None: AWS.
    """

    def __init__(self, region: str, endpoint_url: str | None = None) -> None:
        self.region = region
        self.endpoint_url = endpoint_url
        local: dict[str, Any] = dict(LOCAL_CREDENTIALS) if endpoint_url else {}
        self._session = boto3.Session(region_name=region, **local)
        if endpoint_url:
            # MWAA prefixes its host, which does not resolve for an address; a proxy is for the world outside.
            self._config = Config(
                inject_host_prefix=False,
                proxies={},
                connect_timeout=5,
                read_timeout=120,
                retries={"mode": "standard", "total_max_attempts": 3},
                s3={"addressing_style": "path"},
            )
        else:
            self._config = Config(retries={"mode": "adaptive", "total_max_attempts": 8})
        self._clients: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        """A boto3 client, made once."""
        if service not in self._clients:
            self._clients[service] = self._session.client(
                service,  # type: ignore[call-overload]  # the stubs want a literal
                endpoint_url=self.endpoint_url,
                config=self._config,
            )
        return self._clients[service]


def tagged(aws: Aws, tags: Mapping[str, str], *kinds: str) -> Iterator[str]:
    """The ARNs of all that carries these tags, or of these kinds of it, named as the Resource Groups Tagging API does.

    What has just gone may be among them: the list of tags lags behind.
    """
    filters = [{"Key": key, "Values": [value]} for key, value in tags.items()]
    pages = aws.client("resourcegroupstaggingapi").get_paginator("get_resources")
    for page in pages.paginate(TagFilters=filters, ResourceTypeFilters=kinds):
        for entry in page["ResourceTagMappingList"]:
            yield entry["ResourceARN"]
