"""Runs the containers of images for Windows: what the ECS agent asks for, in one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from emulator.ecs.windows import container, drive, environment, shims, wine
from emulator.ecs.windows.container import ContainerError, Order, WindowsContainer
from emulator.ecs.windows.installation import Installation, InstallError, install
from emulator.processes import Supervisor


class UnavailableError(Exception):
    """Images for Windows cannot be run here; the text says why and what to do."""


@dataclass
class Engine:
    """Starts Windows containers.

    Attributes:
        processes: start their first processes.
        cache: the emulator's cache folder.
        order: in which the processes of a container are told of a stop.
    """

    processes: Supervisor
    cache: Path
    order: Order = "together"
    _installation: Installation | None = None
    _lock: Lock = field(default_factory=Lock)

    def prepare(self) -> Installation:
        """See that Windows' programs can be run; what that needs is made the first time, which takes some 20 s.

        Raises:
            UnavailableError: they cannot
        """
        with self._lock:
            if self._installation is None:
                try:
                    self._installation = install(self.cache, lambda _: None)
                except (wine.WineMissingError, InstallError, shims.CompileError, OSError) as error:
                    raise UnavailableError(str(error)) from error
            return self._installation

    def start(
        self,
        folder: Path,
        image: Path,
        words: Sequence[str],
        *,
        working_folder: str = "C:\\",
        user: str = "",
        name: str = "container",
        variables: Sequence[Mapping[str, str]] = (),
        escaped: bool = False,
        niceness: int = 0,
    ) -> WindowsContainer:
        """Start a container.

        Args:
            folder: that becomes its own.
            image: the image's drive C, unpacked.
            words: its program and arguments.
            working_folder: as Windows names it; made where the image has it not.
            user: who runs the program; an administrator unless it is named.
            name: of the computer that it takes itself for.
            variables: environments over Windows' own, the later ones over the earlier.
            escaped: the first word is a command line already.
            niceness: added to the emulator's own.

        Raises:
            UnavailableError: Windows' programs cannot be run here
            ContainerError: the program cannot be started, in Docker's words
            OSError: the container's folder cannot be made
        """
        installation = self.prepare()
        user = user or drive.ADMINISTRATOR
        if user.lower() not in {drive.ADMINISTRATOR.lower(), drive.USER.lower()}:
            raise ContainerError(
                "CannotCreateContainerError: Error response from daemon: the account name or password is incorrect: "
                f"{user!r}; the emulator has {drive.ADMINISTRATOR} and {drive.USER}"
            )
        drive.make(folder, installation, image, user, working_folder)
        program = container.Program(
            command=environment.command_line(words, escaped=escaped),
            folder=working_folder,
            environment=environment.variables(user, name, *variables),
        )
        return container.start(self.processes, installation, folder, program, order=self.order, niceness=niceness)
