"""MWAA's backend in moto: the environments of one account and region."""

from __future__ import annotations

import os
from threading import RLock
from typing import Any, ClassVar

from moto.core.base_backend import BackendDict, BaseBackend
from moto.ec2.models import ec2_backends
from moto.iam.exceptions import NotFoundException
from moto.iam.models import iam_backends

from emulator import locks
from emulator.context import Context
from emulator.mwaa import rules
from emulator.mwaa.bucket import Bucket
from emulator.mwaa.environment import UPDATABLE, Environment
from emulator.mwaa.exceptions import ResourceNotFoundException, ValidationException
from emulator.mwaa.identity import Identity

# MWAA looks every 30 s or so; nobody wants to wait for that at a desk.
_SYNC_SECONDS = 2.0
_PAGE = 25


class MwaaBackend(BaseBackend):
    """The environments of one account and region. Safe for threads."""

    context: ClassVar[Context | None] = None

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self._environments: dict[str, Environment] = {}
        self._lock = RLock()

    def create(self, name: str, given: dict[str, Any]) -> Environment:
        """Begin to make an environment.

        Raises:
            ValidationException: AWS would refuse it
        """
        context = self.context
        if context is None or (self.account_id, self.region_name) != (context.account, context.region):
            raise ValidationException(f"The emulator has no environments in {self.region_name}.")
        tags = given.pop("Tags", None) or {}
        settings = rules.defaults(given)
        rules.check(settings)
        self._check_surroundings(settings)
        self._pin_objects(settings)
        with self._lock:
            if name in self._environments:
                raise ValidationException(f"An environment with name {name} already exists.")
            identity = Identity(name, self.account_id, self.region_name, self.partition)
            environment = Environment(
                context,
                identity,
                settings=settings,
                tags=tags,
                sync_seconds=_sync_seconds(),
                gone=lambda: self._forget(name),
            )
            self._environments[name] = environment
            return environment

    def get(self, name: str) -> Environment:
        """An environment.

        Raises:
            ResourceNotFoundException: there is none of this name
        """
        with self._lock:
            environment = self._environments.get(name)
        if environment is None:
            raise ResourceNotFoundException(f"No environment with name {name} was found.")
        return environment

    def by_arn(self, arn: str) -> Environment:
        """An environment by its ARN.

        Raises:
            ResourceNotFoundException: there is none
        """
        environment = self.get(arn.rpartition("/")[2])
        if environment.identity.arn != arn:
            raise ResourceNotFoundException(f"No environment with ARN {arn} was found.")
        return environment

    def update(self, name: str, given: dict[str, Any]) -> Environment:
        """Begin to change an environment.

        Raises:
            ResourceNotFoundException: there is none of this name
            ValidationException: AWS would refuse it
        """
        strategy = given.pop("WorkerReplacementStrategy", None)
        environment = self.get(name)
        with self._lock:
            if environment.status not in UPDATABLE:
                raise ValidationException(
                    f"Environment {name} cannot be updated while its status is {environment.status}."
                )
            before = environment.settings
            settings = rules.changed(before, given)
            rules.check(settings, before)
            self._check_surroundings(settings)
            self._pin_objects(settings)
            environment.update(settings, strategy)
        return environment

    def delete(self, name: str) -> None:
        """Begin to delete an environment.

        Raises:
            ResourceNotFoundException: there is none of this name
        """
        self.get(name).delete()

    def names(self, after: str, limit: int | None) -> tuple[list[str], str | None]:
        """A page of names in order, and the last of them when there are more."""
        with self._lock:
            names = sorted(name for name in self._environments if name > after)
        page = names[: limit or _PAGE]
        return page, page[-1] if len(names) > len(page) else None

    def environments(self) -> list[Environment]:
        """All, in no order."""
        with self._lock:
            return list(self._environments.values())

    def _forget(self, name: str) -> None:
        with self._lock:
            self._environments.pop(name, None)

    def _check_surroundings(self, settings: rules.Settings) -> None:
        """What MWAA looks up before it begins: role, bucket, network."""
        role = settings["ExecutionRoleArn"]
        bucket = self._bucket(settings)
        network = settings["NetworkConfiguration"]
        with locks.CONTROL:
            try:
                iam_backends[self.account_id][self.partition].get_role_by_arn(role)
            except NotFoundException as error:
                raise ValidationException(f"The execution role {role} does not exist.") from error
            ec2 = ec2_backends[self.account_id][self.region_name]
            subnets = {subnet.id for zone in ec2.subnets.values() for subnet in zone.values()}
            groups = {group for vpc in ec2.groups.values() for group in vpc}
        missing = [name for name in network["SubnetIds"] if name not in subnets]
        missing += [name for name in network["SecurityGroupIds"] if name not in groups]
        if missing:
            raise ValidationException(f"Not found: {', '.join(missing)}.")
        if not bucket.exists():
            raise ValidationException(f"The source bucket {bucket.name} does not exist.")
        if not bucket.versioned():
            raise ValidationException(f"Versioning must be enabled on the source bucket {bucket.name}.")

    def _pin_objects(self, settings: rules.Settings) -> None:
        """Which version of an object counts is settled when the call is made."""
        bucket = self._bucket(settings)
        for path, version in rules.OBJECTS.items():
            key = settings.get(path)
            if not key:
                continue
            wanted = settings.get(version) or bucket.version(key)
            try:
                bucket.read(key, wanted)
            except LookupError as error:
                raise ValidationException(f"Unable to access version {wanted or 'null'} of {key}.") from error
            settings[version] = wanted

    def _bucket(self, settings: rules.Settings) -> Bucket:
        name = settings["SourceBucketArn"].rpartition(":")[2]
        return Bucket(self.account_id, self.region_name, name)


def _sync_seconds() -> float:
    return float(os.environ.get("EMULATOR_DAG_SYNC_SECONDS", _SYNC_SECONDS))


mwaa_backends = BackendDict(MwaaBackend, "mwaa")
