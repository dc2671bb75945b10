"""STS: whoever uses the administrator's key is a user of IAM, as everybody with a key of his own is."""

from __future__ import annotations

from moto.sts.models import STSBackend, sts_backends

from emulator.context import Context
from emulator.patching import OwnUrls, keep_with

# What moto says of a key that it has not made.
_NOBODY = ":user/moto"


class Sts(OwnUrls, STSBackend):
    """Moto's, with a name for the administrator that IAM's policies can have in them."""

    moto_service = "sts"

    def get_caller_identity(self, access_key_id: str, region: str) -> tuple[str, str, str]:
        """The id, the ARN and the account of whose key it is."""
        user, arn, account = super().get_caller_identity(access_key_id, region)
        if arn.endswith(_NOBODY):
            arn = f"arn:{self.partition}:iam::{account}:user/administrator"
        return user, arn, account


def install(context: Context) -> None:  # noqa: ARG001 - every service gets it
    """Put it in the place of moto's."""
    keep_with(sts_backends, Sts)


def shutdown() -> None:
    """Nothing of it runs."""
