"""Runs containers of images for Windows without an ECS around them."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread

from emulator import folders
from emulator.ecs.images import Image, described, unpack
from emulator.ecs.windows import layers, wine
from emulator.ecs.windows.container import Order, WindowsContainer
from emulator.ecs.windows.engine import Engine
from emulator.processes import Supervisor
from tests.waiting import PATIENCE, wait_for

# What Windows gives a container between the event and the end (emulator.ecs.model.WINDOWS_STOP_SECONDS).
STOP_SECONDS = 5


@dataclass
class Running:
    """A container at work.

    Attributes:
        container: itself.
        folder: its registry and drive.
    """

    container: WindowsContainer
    folder: Path

    def __post_init__(self) -> None:
        self._said = bytearray()
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while data := self.container.stdout.read1(65536):  # type: ignore[attr-defined]
            self._said += data

    @property
    def output(self) -> str:
        """What it has said so far."""
        return self._said.decode(errors="replace")

    @property
    def lines(self) -> list[str]:
        return self.output.splitlines()

    @property
    def drive(self) -> Path:
        """Its drive C."""
        return self.folder / "drive_c"

    def says(self, text: str) -> None:
        """Wait until it has said something."""
        wait_for(lambda: text in self.output or self.container.poll() is not None)
        assert text in self.output, self.output

    def ended(self) -> int:
        """Wait for its end, and give its exit code."""
        self.container.wait(PATIENCE)
        return self._end()

    def stopped(self, seconds: float = STOP_SECONDS) -> int:
        """Stop it as ECS does, and give its exit code."""
        self.container.terminate()
        try:
            self.container.wait(seconds)
        except subprocess.TimeoutExpired:
            self.container.kill()
        return self._end()

    def _end(self) -> int:
        code = self.container.reap()
        self._reader.join()
        self.container.stdout.close()
        return code


class Host:
    """A host of Windows containers.

    Args:
        cache: the emulator's cache folder.
        folder: for images and containers.
    """

    def __init__(self, cache: Path, folder: Path) -> None:
        self._processes = Supervisor()
        self._engine = Engine(self._processes, cache)
        self._folder = folder
        self._count = 0

    @property
    def wine(self) -> wine.Wine:
        """What runs its programs."""
        return wine.find()

    def close(self) -> None:
        """End everything that it started."""
        self._processes.stop_all()

    def image(self, files: Mapping[str, Path | bytes], **config: object) -> Image:
        """An image of files of drive C, whose names have slashes, and a configuration (`Entrypoint`, …)."""
        root = self._place("image")
        return described(
            "sha256:0", _filled(root, files), {"os": "windows", "config": {"User": "ContainerUser", **config}}
        )

    def on(self, image: Image, files: Mapping[str, Path | bytes]) -> Image:
        """An image with more files."""
        root = self._place("image")
        subprocess.run(["cp", "-al", f"{image.root}/.", str(root)], check=True)
        return replace(image, root=_filled(root, files))

    def layout(self, folder: Path) -> Image:
        """The first image of an OCI layout, unpacked."""

        def blob(digest: str) -> Path:
            return folder / "blobs" / "sha256" / digest.removeprefix("sha256:")

        index = json.loads((folder / "index.json").read_bytes())
        digest = index["manifests"][0]["digest"]
        manifest = json.loads(blob(digest).read_bytes())
        document = json.loads(blob(manifest["config"]["digest"]).read_bytes())
        own = [layer for layer in manifest["layers"] if blob(layer["digest"]).is_file()]
        root = self._place("layout")
        root.rmdir()
        unpack({**manifest, "layers": own}, document, blob, root)
        return described(digest, root, document)

    @contextmanager
    def running(
        self,
        image: Image,
        *words: str,
        environment: Mapping[str, str] | None = None,
        order: Order = "together",
    ) -> Iterator[Running]:
        """A container that is killed at the end, if it has not ended, and whose folder goes.

        Args:
            image: of what.
            words: its command, instead of the image's.
            environment: over the image's.
            order: in which its processes are told of a stop.
        """
        folder = self._place("container")
        self._engine.order = order
        command: Sequence[str] = words or image.command
        container = self._engine.start(
            folder / "own",
            image.root,
            [*image.entrypoint, *command],
            working_folder=image.working_path.replace("/", "C:\\") if image.working_path == "/" else image.working_path,
            user=image.user,
            variables=(image.environment, environment or {}),
        )
        started = Running(container, folder / "own")
        try:
            yield started
        finally:
            if container.poll() is None:
                container.kill()
                started.ended()
            folders.remove(folder)

    def run(self, image: Image, *words: str, environment: Mapping[str, str] | None = None) -> tuple[int, str]:
        """A container's exit code and output."""
        with self.running(image, *words, environment=environment) as started:
            return started.ended(), started.output

    def _place(self, name: str) -> Path:
        self._count += 1
        folder = self._folder / f"{name}-{self._count}"
        folder.mkdir(parents=True)
        return folder


def _filled(root: Path, files: Mapping[str, Path | bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Path):
            shutil.copyfile(content, path)
        else:
            path.write_bytes(content)
    layers.protect(root)
    return root


def compiled(source: Path, target: Path) -> Path:
    """Compile a C source to a program of Windows, or to a library by the name of its target."""
    kind = "-shared" if target.suffix == ".dll" else "-municode"
    words = [wine.COMPILER, "-O1", "-s", kind, "-Wall", "-Wextra", "-Werror", "-o", str(target), str(source)]
    subprocess.run(words, check=True)
    return target
