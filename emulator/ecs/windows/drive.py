"""A container's own drive C: Windows' folders, its image's files, and room for its user."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from emulator.ecs.windows.installation import Installation
from emulator.ecs.windows.spelling import Spelling

# Who may change the files of an image: no other user (the default discretionary list of drive C).
ADMINISTRATOR = "ContainerAdministrator"
USER = "ContainerUser"
_REGISTRY = ("system.reg", "user.reg", "userdef.reg", ".update-timestamp")
_PROFILE = ("AppData/Local/Temp", "AppData/Roaming", "Desktop", "Documents", "Downloads")


def make(folder: Path, installation: Installation, image: Path, user: str, working_folder: str) -> Path:
    """Make a container's registry and drive.

    An administrator gets copies of the image's files. For any other user they are links to the image's own, which
    cannot be written to; so Windows' list of rights has it.

    Args:
        folder: that becomes the container's, with all above it.
        installation: what all containers share.
        image: the image's drive C.
        user: who runs its program.
        working_folder: as Windows names it, which an engine makes where the image has it not.

    Returns:
        The folder of the drive C.

    Raises:
        OSError: it cannot be made.
    """
    drive = folder / "drive_c"
    (folder / "dosdevices").mkdir(parents=True)
    (folder / "dosdevices" / "c:").symlink_to("../drive_c")
    for name in _REGISTRY:
        shutil.copyfile(installation.prefix / name, folder / name)
    # Windows' own files are Wine's, which no container changes: a link stands for each.
    command = ["cp", "-as", str(installation.prefix / "drive_c"), str(drive)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        raise OSError(f"Windows' files cannot be linked: {done.stderr.strip()[-200:]}")
    names = Spelling(drive)
    _lay(image, names, _copy if user.lower() == ADMINISTRATOR.lower() else _link)
    for name in _PROFILE:
        names.path(f"users/{user}/{name}").mkdir(parents=True, exist_ok=True)
    names.path(re.sub(r"^[A-Za-z]:", "", working_folder).replace("\\", "/")).mkdir(parents=True, exist_ok=True)
    return drive


def _lay(image: Path, names: Spelling, bring: Callable[[Path, Path], None]) -> None:
    """Bring every file and folder of an image to the same place of the drive."""
    for above, folders, files in os.walk(image):
        place = os.path.relpath(above, image).removeprefix(".")
        names.path(place).mkdir(exist_ok=True)
        for name in [*files, *(folder for folder in folders if Path(above, folder).is_symlink())]:
            target = names.path(f"{place}/{name}")
            target.unlink(missing_ok=True)
            bring(Path(above, name), target)


def _link(source: Path, target: Path) -> None:
    os.link(source, target, follow_symlinks=False)


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target, follow_symlinks=False)
    shutil.copystat(source, target, follow_symlinks=False)
    if not target.is_symlink():
        target.chmod(0o644)
