"""This machine: programs, folders, disk, port. What raises here is what keeps `up` from beginning."""

from collections.abc import Sequence

from scripts.core import given
from scripts.core.settings import Settings
from scripts.dag_releases import requirements
from scripts.environments.doctor.check import Check, Context, Finding, State, doubtful, fine
from scripts.images import wine
from scripts.tools import debian, emulator, providers, terraform_command, uv


class Uv(Check):
    """Looks for uv."""

    name = "uv"

    def run(self, context: Context) -> Finding:
        """Find it."""
        return fine(uv.find(context.settings))


class Terraform(Check):
    """Looks for Terraform in a version that is allowed."""

    name = "Terraform"

    def run(self, context: Context) -> Finding:
        """Find one that is new enough."""
        command = terraform_command.find_terraform(context.settings)
        return fine(f"{terraform_command.terraform_version(command)}, {command}")


class Provider(Check):
    """Looks for Terraform's aws provider."""

    name = "Terraform's aws provider"

    def run(self, context: Context) -> Finding:
        """Find what the set-up has written for it."""
        return fine(f"set up, {providers.config_file(context.settings)}")


class Requirements(Check):
    """Looks whether Airflow's requirements go with what MWAA fixes."""

    name = "Airflow's requirements"

    def run(self, context: Context) -> Finding:
        """Hold them against what MWAA fixes."""
        requirements.check(context.settings)
        return fine(f"MWAA installs them with Airflow {context.settings.airflow_version}")


class StateFolder(Check):
    """Looks whether the state folder can be written."""

    name = "state folder"

    def run(self, context: Context) -> Finding:
        """See that it can be written."""
        given.folder("WINBATCH_STATE", context.settings.state)
        return fine(str(context.settings.state))


class Folders(Check):
    """Looks at the folders in which Airflow is to start."""

    name = "folders"

    def run(self, context: Context) -> Finding:
        """See that Airflow starts in them."""
        emulator.check_folders(context.settings)
        return fine(f"{context.settings.state_root}, {context.settings.cache}")


class Disk(Check):
    """Looks how much of the disk is free."""

    name = "disk"

    def run(self, context: Context) -> Finding:
        """See that there is room."""
        emulator.check_disk(context.settings)
        return fine(f"{context.settings.min_free_mib} MiB and more are free")


class Port(Check):
    """Looks whether the emulator's port is free."""

    name = "port"

    def run(self, context: Context) -> Finding:
        """See that nobody else listens where the emulator will."""
        session = emulator.recorded(context.settings)
        if session is not None:
            return fine(f"the emulator has {session.port}")
        emulator.check_port(context.settings.port)
        return fine(f"{context.settings.port} is free")


class Wine(Check):
    """Looks for Wine, where Windows images are to run here."""

    name = "Wine"

    def run(self, context: Context) -> Finding:
        """Find it, where local containers are to run Windows images."""
        if not context.settings.wine:
            return fine("not asked for (WINBATCH_WINDOWS=wine): local containers are Linux'")
        wine.require()
        return fine(", ".join(str(program.find()) for program in wine.PROGRAMS))


class Octave(Check):
    """Looks for Octave, where a workload needs it."""

    name = "Octave"

    def run(self, _: Context) -> Finding:
        """Find it; only jobs of ber-octave need it."""
        found = debian.OCTAVE.find()
        return fine(found) if found else doubtful(debian.OCTAVE.without, f"apt-get install {debian.OCTAVE.package}")


class Emulator(Check):
    """Looks whether the emulator answers."""

    name = "emulator"
    stops_at = (State.DOUBTFUL, State.WRONG)

    def run(self, context: Context) -> Finding:
        """Ask it for its health."""
        if emulator.recorded(context.settings) is None:
            return doubtful("the local environment is not up", context.again)
        return fine(f"it answers at {emulator.require(context.settings).endpoint_url}")


def needed(settings: Settings) -> Sequence[Check]:
    """List what must be so before anything changes; each raises where it is not."""
    tools = (Terraform(), Provider(), Requirements())
    return (*tools, Folders(), Wine(), Disk(), Port()) if settings.local else (*tools, StateFolder())
