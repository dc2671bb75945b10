"""The Terraform command: found where it is, fetched where it is not.

What is fetched lies in the cache folder. It is checked against the checksum that the vendor publishes and against the
one that this file pins, so neither alone is trusted.
"""

import hashlib
import http.client
import json
import os
import platform
import re
import shutil
import stat
import subprocess
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from scripts.core.errors import ToolError
from scripts.core.settings import Settings

OLDEST = (1, 11)
VERSION = "1.11.4"
# SHA-256 of the pinned release's archives, by platform.
CHECKSUMS = {
    "darwin_amd64": "a56d5002b9f7647291faccc3dd1a70350e60fb61e4c45037629508b8fdc2575b",
    "darwin_arm64": "867e0808fa971217043e25b7a792b10720c79b1546f8a68479b74f138be73e18",
    "linux_amd64": "1ce994251c00281d6845f0f268637ba50c0005657eb3cf096b92f753b42ef4dc",
    "linux_arm64": "a43d1d0da9b9bab214a8305a39db0e40869572594ccf50c416a7756499143633",
}
Progress = Callable[[str], None]


def find_terraform(settings: Settings, search_path: str | None = None) -> Path:
    """A Terraform that is new enough: on the search path, else the fetched one, else where the set-up found one.

    Raises:
        ToolError: there is none.
    """
    old = ""
    for command in _terraforms(settings, search_path):
        version = terraform_version(command)
        if version is not None and new_enough(version):
            return command
        if version is not None:
            old = f" ({command} is {version}, too old)"
    raise ToolError(
        f"Terraform {OLDEST[0]}.{OLDEST[1]} or newer is missing{old}: call make setup, which fetches"
        f" {VERSION}, or install one (developer.hashicorp.com/terraform/install)"
    )


def install_terraform(settings: Settings, progress: Progress) -> Path:
    """The same, fetching the pinned release where there is none.

    Raises:
        ToolError: it cannot be fetched, or is not what the vendor published.
    """
    try:
        found = find_terraform(settings)
    except ToolError as missing:
        name = platform_name()
        if name not in CHECKSUMS:
            raise ToolError(f"{missing}; there is no pinned release for {name}") from None
        return _fetch_terraform(settings, name, progress, why=str(missing))
    _remember(settings, found)
    return found


def new_enough(version: str) -> bool:
    """Whether a version such as `1.11.4` or `1.12.0-beta1` will do."""
    match = re.match(r"(\d+)\.(\d+)\.", version)
    return match is not None and (int(match[1]), int(match[2])) >= OLDEST


def terraform_version(command: Path) -> str | None:
    """What a command says its version is; None when it is no working Terraform."""
    # The user's own configuration and options may be broken; they are none of ours.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    environ |= {"CHECKPOINT_DISABLE": "1", "TF_CLI_CONFIG_FILE": os.devnull}
    try:
        done = subprocess.run(
            [command, "version", "-json"], env=environ, capture_output=True, text=True, timeout=30, check=True
        )
        return str(json.loads(done.stdout)["terraform_version"])
    except (OSError, subprocess.SubprocessError, ValueError, KeyError):
        return None


def _terraforms(settings: Settings, search_path: str | None) -> Iterator[Path]:
    for folder in (os.environ.get("PATH", "") if search_path is None else search_path).split(os.pathsep):
        command = shutil.which("terraform", path=folder) if folder else None
        if command is not None:
            yield Path(command)
    for kept in (fetched_folder(settings) / "terraform", found_folder(settings) / "terraform"):
        if kept.exists():
            yield kept


def _remember(settings: Settings, command: Path) -> None:
    """Keep where Terraform is for callers with another search path, such as cron's."""
    kept = found_folder(settings) / "terraform"
    if command == kept or (kept.is_symlink() and kept.readlink() == command):
        return
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.unlink(missing_ok=True)
    kept.symlink_to(command)


def fetched_folder(settings: Settings) -> Path:
    """Where the fetched Terraform lies."""
    return settings.cache / "tools" / f"terraform-{VERSION}"


def found_folder(settings: Settings) -> Path:
    """Where a link to the Terraform that the set-up found lies."""
    return settings.cache / "tools" / "terraform-found"


def _fetch_terraform(settings: Settings, name: str, progress: Progress, *, why: str) -> Path:
    base = f"{settings.tf_releases}/terraform/{VERSION}"
    archive = f"terraform_{VERSION}_{name}.zip"
    folder = fetched_folder(settings)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / archive
    try:
        sums = _get(f"{base}/terraform_{VERSION}_SHA256SUMS").decode()
        _download(f"{base}/{archive}", target, progress)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise ToolError(
            f"Terraform is missing, and {base} cannot be reached ({_reason(error)}): install Terraform"
            f" {OLDEST[0]}.{OLDEST[1]} or newer (developer.hashicorp.com/terraform/install) and call again"
        ) from error
    published = re.search(rf"^([0-9a-f]{{64}})\s+\*?{re.escape(archive)}$", sums, re.MULTILINE)
    found = hashlib.sha256(target.read_bytes()).hexdigest()
    if published is None or found != published[1] or found != CHECKSUMS[name]:
        target.unlink()
        raise ToolError(
            f"{base}/{archive} has SHA-256 {found}, {CHECKSUMS[name]} was expected: it is not the vendor's file;"
            " nothing was installed"
        )
    with zipfile.ZipFile(target) as file:
        file.extract("terraform", folder)
    target.unlink()
    command = folder / "terraform"
    command.chmod(command.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    if terraform_version(command) != VERSION:
        raise ToolError(f"the fetched {command} does not run here; {why}")
    return command


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - the vendor's or the user's own URL
        content: bytes = answer.read()
        return content


def _download(url: str, target: Path, progress: Progress) -> None:
    with urllib.request.urlopen(url, timeout=30) as answer, target.open("wb") as file:  # noqa: S310
        total = int(answer.headers.get("Content-Length") or 0)
        while block := answer.read(1 << 20):
            file.write(block)
            progress(f"{file.tell() >> 20} of {total >> 20} MiB")


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError) or not isinstance(error, urllib.error.URLError):
        return str(error)
    return str(error.reason)


def platform_name() -> str:
    """This machine in Terraform's words, such as `linux_amd64`."""
    machine = platform.machine().lower()
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
    return f"{platform.system().lower()}_{architecture}"
