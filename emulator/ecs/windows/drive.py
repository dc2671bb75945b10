"""A container's own drive C: Windows' folders, its image's files, and room for its user."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from emulator import folders
from emulator.ecs.windows.installation import Installation
from emulator.ecs.windows.spelling import Spelling

# Who may change the files of an image: no other user (the default discretionary list of drive C).
ADMINISTRATOR = "ContainerAdministrator"
USER = "ContainerUser"
_REGISTRY = ("system.reg", "user.reg", "userdef.reg", ".update-timestamp")
_PROFILE = ("AppData/Local/Temp", "AppData/Roaming", "Desktop", "Documents", "Downloads")


def make(folder: Path, installation: Installation, image: Path, user: str, working_folder: str) -> Path:
    """Make a container's registry and drive.

    All files are links to Windows' and the image's own, which cannot be written to (`layers.protect`); so Windows' list
    of rights has it for any user but an administrator, who gets copies of the image's.

    Args:
        folder: that becomes the container's, with all above it.
        installation: what all containers share.
        image: the image's drive C; what its containers begin with is made beside it, once.
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
    whole = image.with_name(f"{image.name}.drive")
    with folders.making(whole) as made:
        if made is not None:
            # By name, as Wine's may be on another file system.
            _lay(installation.prefix / "drive_c", made, os.symlink)
            _lay(image, made, _link)
    # By a program: this takes thousands of calls, of which another container's start would feel each.
    copying = ["-a", "--no-preserve=mode,ownership"] if user.lower() == ADMINISTRATOR.lower() else ["-al"]
    command = ["cp", *copying, str(whole), str(drive)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        raise OSError(f"an image's files cannot be laid: {done.stderr.strip()[-200:]}")
    names = Spelling(drive)
    for name in _PROFILE:
        names.path(f"users/{user}/{name}").mkdir(parents=True, exist_ok=True)
    names.path(re.sub(r"^[A-Za-z]:", "", working_folder).replace("\\", "/")).mkdir(parents=True, exist_ok=True)
    return drive


def _lay(source: Path, drive: Path, link: Callable[[Path, Path], None]) -> None:
    """Link every file and folder of an image to the same place of a drive."""
    names = Spelling(drive)
    for above, inner, files in os.walk(source):
        place = os.path.relpath(above, source).removeprefix(".")
        names.path(place).mkdir(exist_ok=True)
        for name in [*files, *(folder for folder in inner if Path(above, folder).is_symlink())]:
            target = names.path(f"{place}/{name}")
            target.unlink(missing_ok=True)
            link(Path(above, name), target)


def _link(source: Path, target: Path) -> None:
    os.link(source, target, follow_symlinks=False)
