"""botocore for one environment: the real AWS as the caller has set it up, or the emulator with nothing of that.

boto3 would add a tenth of a second to each command, for a transfer manager and for resources that none uses.
"""

import os
from collections.abc import Iterator, Mapping
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES
from botocore.exceptions import NoCredentialsError
from botocore.utils import JSONFileCache

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
        if endpoint_url:
            self._session = _unconfigured()
            self._session.set_credentials(*LOCAL_CREDENTIALS.values())
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
            self._session = _configured()
            self._config = Config(retries={"mode": "adaptive", "total_max_attempts": 8})
        # Where credentials come from a service, it is asked in this region, too.
        self._session.set_config_variable("region", region)
        self._clients: dict[str, Any] = {}

    def environment(self) -> dict[str, str]:
        """Name the variables by which another process reaches the same AWS with the rights of now.

        Raises:
            NoCredentialsError: there are no credentials.
        """
        credentials = self._session.get_credentials()
        if credentials is None:
            raise NoCredentialsError
        found = credentials.get_frozen_credentials()
        variables = {
            "AWS_ACCESS_KEY_ID": found.access_key,
            "AWS_SECRET_ACCESS_KEY": found.secret_key,
            "AWS_SESSION_TOKEN": found.token,
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_REGION": self.region,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }
        return {name: value for name, value in variables.items() if value}

    def client(self, service: str) -> Any:
        """A botocore client, made once."""
        if service not in self._clients:
            self._clients[service] = self._session.create_client(
                service, endpoint_url=self.endpoint_url, config=self._config
            )
        return self._clients[service]


def _unconfigured() -> botocore.session.Session:
    """A session with botocore's own defaults: no variable and no file of the caller's AWS is read."""
    variables: dict[str, Any] = {
        name: (None, None, default, convert)
        for name, (_, _, default, convert) in BOTOCORE_DEFAUT_SESSION_VARIABLES.items()
    }
    for name in ("config_file", "credentials_file"):
        variables[name] = (None, None, os.devnull, None)
    return botocore.session.Session(session_vars=variables)


def _configured() -> botocore.session.Session:
    """A session with all that the caller's AWS says.

    Credentials of a role that was assumed are kept where the AWS command line keeps them, so that who has to name a
    token for it does so once an hour and not once a command.
    """
    session = botocore.session.Session()
    # Path.expanduser fails where there is no home.
    cache = JSONFileCache(os.path.expanduser("~/.aws/cli/cache"))  # noqa: PTH111
    for name in ("assume-role", "assume-role-with-web-identity"):
        session.get_component("credential_provider").get_provider(name).cache = cache
    return session


def tagged(aws: Aws, tags: Mapping[str, str], *kinds: str) -> Iterator[str]:
    """The ARNs of all that carries these tags, or of these kinds of it, named as the Resource Groups Tagging API does.

    What has just gone may be among them: the list of tags lags behind.
    """
    filters = [{"Key": key, "Values": [value]} for key, value in tags.items()]
    pages = aws.client("resourcegroupstaggingapi").get_paginator("get_resources")
    for page in pages.paginate(TagFilters=filters, ResourceTypeFilters=kinds):
        for entry in page["ResourceTagMappingList"]:
            yield entry["ResourceARN"]
