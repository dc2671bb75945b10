"""botocore's client of S3, made in as little time as can be."""

from typing import Any

from botocore.config import Config
from botocore.loaders import Loader
from botocore.session import get_session


class _Loader(Loader):
    """Knows what a worker calls: botocore's own looks through the folders of its four hundred services for that."""

    def list_available_services(self, type_name: str) -> list[str]:  # noqa: ARG002 - botocore's signature
        """S3, and the services that credentials may come from."""
        return ["s3", "sso", "sso-oidc", "sts"]


def connect(*, region: str | None, connections: int) -> Any:
    """A client with the credentials and endpoint that botocore finds in the environment.

    Args:
        region: of the bucket; None leaves it to botocore.
        connections: that threads may use at once.

    Raises:
        BotoCoreError: there is no region or the configuration is broken.
    """
    session = get_session()
    session.register_component("data_loader", _Loader())
    config = Config(
        retries={"mode": "standard", "total_max_attempts": 8},
        max_pool_connections=connections,
        connect_timeout=5,
        read_timeout=30,
    )
    return session.create_client("s3", region_name=region, config=config)
