"""What every service of the emulator is given when it is installed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from emulator.credentials import Credentials
from emulator.faults import Faults
from emulator.identity.gate import Identity
from emulator.processes import Supervisor
from emulator.routes import Routes
from emulator.timers import Timers


@dataclass(frozen=True)
class Context:
    """One running emulator.

    Attributes:
        endpoint_url: where it answers, `http://127.0.0.1:<port>`
        port: the port in it
        state: the folder of everything that dies with it
        cache: the folder of what can be made again (Airflow environments)
        account: the AWS account that it plays
        region: the region in which the environment lives
        processes: starts children that never outlive the emulator
        credentials: gives a child the temporary credentials of an IAM role
        routes: adds pages of the emulator's own under `/_emulator/`
        faults: how it is to misbehave
        identity: who may do what
        timers: lets something happen later
        instance_seconds: from the launch of an EC2 instance to its registration with ECS
        terminate_seconds: from the end of an EC2 instance on request to its being terminated
        airflow: whether an MWAA environment runs Airflow
    """

    endpoint_url: str
    port: int
    state: Path
    cache: Path
    account: str
    region: str
    processes: Supervisor
    credentials: Credentials
    routes: Routes
    faults: Faults
    identity: Identity
    timers: Timers
    instance_seconds: float
    terminate_seconds: float
    airflow: bool
