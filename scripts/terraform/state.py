"""Terraform's state as it lies in S3: which one it is, and who holds its lock. Read without starting Terraform."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from scripts.core.errors import StateLockedError
from scripts.core.settings import Settings

# The saved plan that was applied last.
_APPLIED = "applied.json"
# There while an apply is at work, and after one that did not end well.
_BEGUN = "begun"


@dataclass(frozen=True)
class StateId:
    """A state's identity: the lineage never changes, the serial grows with each write. Both empty before the first."""

    lineage: str = ""
    serial: int = 0

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> "StateId":
        """From a state's JSON."""
        return cls(str(document.get("lineage", "")), int(document.get("serial", 0)))


@dataclass(frozen=True)
class Lock:
    """Who holds a state's lock.

    Attributes:
        id: what unlocking wants.
        who: user and host.
        created: since when.
        operation: Terraform's word for what it is at.
    """

    id: str
    who: str
    created: str
    operation: str

    def error(self, environment: str) -> StateLockedError:
        """The line for somebody who comes too late."""
        error = StateLockedError(
            f"the Terraform state of {environment} is locked by {self.who or 'somebody'} since {self.created or '?'}"
            f" ({self.operation or '?'}): wait for that run to end; if it is gone for good:"
            f" invoke unlock --env {environment} --id {self.id}",
            command=(),
            exit_code=1,
        )
        error.lock_id = self.id
        return error


def identity(s3: Any, settings: Settings) -> StateId:
    """The state as it is now."""
    body = content(s3, settings.backend("bucket"), settings.backend("key"))
    return StateId() if body is None else StateId.read(json.loads(body))


def outputs(s3: Any, settings: Settings) -> dict[str, Any]:
    """Every output's value, by name; empty before the first apply.

    As `terraform output -json` has them, without the second that Terraform takes to say so.
    """
    body = content(s3, settings.backend("bucket"), settings.backend("key"))
    document = {} if body is None else json.loads(body)
    return {name: output["value"] for name, output in document.get("outputs", {}).items()}


@dataclass(frozen=True)
class Tainted:
    """Something whose making Terraform has not seen to end, so that the next plan makes it anew.

    Attributes:
        address: its own.
        kind: its type.
        values: as far as they are known.
    """

    address: str
    kind: str
    values: Mapping[str, Any]


def tainted(s3: Any, settings: Settings) -> list[Tainted]:
    """What of the state is tainted."""
    body = content(s3, settings.backend("bucket"), settings.backend("key"))
    found = []
    for resource in json.loads(body)["resources"] if body is not None else ():
        for instance in resource["instances"]:
            if instance.get("status") == "tainted":
                index = f"[{json.dumps(instance['index_key'])}]" if "index_key" in instance else ""
                module = f"{resource['module']}." if "module" in resource else ""
                address = f"{module}{resource['type']}.{resource['name']}{index}"
                found.append(Tainted(address, resource["type"], instance["attributes"]))
    return found


def lock(s3: Any, settings: Settings) -> Lock | None:
    """Who holds the state's lock; None when nobody does."""
    body = content(s3, settings.backend("bucket"), f"{settings.backend('key')}.tflock")
    if body is None:
        return None
    try:
        found = json.loads(body)
        return Lock(
            str(found["ID"]), str(found.get("Who", "")), str(found.get("Created", "")), str(found.get("Operation", ""))
        )
    except (ValueError, KeyError, TypeError):
        return Lock("", "", "", "")


def applied(s3: Any, settings: Settings) -> tuple[str, int] | None:
    """The saved plan that was applied last: its digest, and the serial that it led to."""
    body = content(s3, settings.backend("bucket"), _APPLIED)
    if body is None:
        return None
    note = json.loads(body)
    return str(note["plan"]), int(note["serial"])


def note_applied(s3: Any, settings: Settings, plan: str) -> None:
    """Note a saved plan as applied, so that a deployment which is called again goes on behind it."""
    note = {"plan": plan, "serial": identity(s3, settings).serial}
    s3.put_object(Bucket=settings.backend("bucket"), Key=_APPLIED, Body=json.dumps(note).encode())


def begun(s3: Any, settings: Settings) -> bool:
    """Whether an apply began and did not end well, so that AWS may have what Terraform has not noted."""
    return content(s3, settings.backend("bucket"), _BEGUN) is not None


def note_begun(s3: Any, settings: Settings) -> None:
    """Note that an apply begins: beside the state, since the next one may come from another machine."""
    s3.put_object(Bucket=settings.backend("bucket"), Key=_BEGUN, Body=b"")


def note_ended(s3: Any, settings: Settings) -> None:
    """Note that everything that was made is noted, or destroyed."""
    s3.delete_object(Bucket=settings.backend("bucket"), Key=_BEGUN)


def content(s3: Any, bucket: str, key: str) -> bytes | None:
    """An object as a whole; None when it is not there."""
    try:
        body: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchKey":
            return None
        raise
    return body
