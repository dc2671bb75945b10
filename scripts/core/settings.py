"""Where things are and which environment is meant.

What wins, first to last: the command line's option (`--env`), the process environment (`WINBATCH_…`), the default here.

| variable | default | what |
| --- | --- | --- |
| `WINBATCH_ENV` | `local` | the environment |
| `WINBATCH_STATE` | `.state` | folder of what dies with an environment |
| `WINBATCH_CACHE` | `.cache` | folder of what can be made again |
| `WINBATCH_PORT` | 5566 | where the emulator listens on 127.0.0.1 |
| `WINBATCH_MIN_FREE_MIB` | 2048 | free disk space below which the local environment does not start |
| `WINBATCH_LOCAL_PATH` | `.local/bin` | folders, with colons, whose programs local containers find by name |
| `WINBATCH_TF_MIRROR` | | a filesystem mirror of Terraform providers |
| `WINBATCH_TF_RELEASES` | the vendor's | where Terraform's releases are fetched from |
| `WINBATCH_WINDOWS` | | `wine`: local containers run the Windows images, under Wine |
| `WINBATCH_DEBUG` | | set: errors come with their traceback |
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from scripts.core.errors import SettingsError
from winbatch.suggesting import hint

ROOT = Path(__file__).resolve().parents[2]
DEFAULT_PORT = 5566
RELEASES = "https://releases.hashicorp.com"
# The default of modules/cluster.
WINDOWS_VERSION = "2022"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One command's settings; made once, by `load`.

    Attributes:
        environment: its name.
        root: the checkout.
        state_root: folder of the environments' folders.
        cache: folder of what can be made again.
        port: for the emulator; a running one says itself where it listens.
        min_free_mib: free disk space that the local environment wants, MiB.
        local_path: folders whose programs the containers of the local environment find by name.
        wine: whether the containers of the local environment run Windows images, under Wine.
        tf_mirror: a filesystem mirror of Terraform providers, if one was named.
        tf_releases: base URL of Terraform's releases.
    """

    environment: str
    root: Path
    state_root: Path
    cache: Path
    port: int
    min_free_mib: int
    local_path: tuple[Path, ...]
    wine: bool
    tf_mirror: Path | None
    tf_releases: str

    @property
    def state_key_alias(self) -> str:
        """The KMS key of Terraform's state, which `terraform/bootstrap` makes."""
        return f"alias/winbatch-{self.environment}-tfstate"

    @property
    def local(self) -> bool:
        """Whether the emulator is this environment's AWS."""
        return self.environment == "local"

    @property
    def emulated(self) -> bool:
        """Whether what answers for AWS is the emulator."""
        return self.local

    @property
    def state(self) -> Path:
        """Folder of what dies with this environment."""
        return self.state_root / self.environment

    @property
    def terraform_root(self) -> Path:
        """Give the folder of Terraform's root."""
        return self.root / "terraform"

    @property
    def bootstrap_root(self) -> Path:
        """The root of what the environment's state lies in."""
        return self.terraform_root / "bootstrap"

    @property
    def dags(self) -> Path:
        """The folder that is released."""
        return self.root / "dags"

    @property
    def var_file(self) -> Path:
        """Give the file of Terraform's values of the environment."""
        return self.terraform_root / "environments" / f"{self.environment}.tfvars"

    @property
    def var_files(self) -> list[Path]:
        """The environment's values for Terraform; a later file's win."""
        return [self.var_file]

    @property
    def backend_file(self) -> Path:
        """Give the file that says where the environment's state is."""
        return self.terraform_root / "environments" / f"{self.environment}.s3.tfbackend"

    @property
    def region(self) -> str:
        """The region of the environment's state, which is that of its resources."""
        return self.backend("region")

    @property
    def airflow_version(self) -> str:
        """The Airflow version that the environment asks for.

        Raises:
            SettingsError: it asks for none.
        """
        text = self.var_file.read_text(encoding="utf-8")
        block = re.search(r"^airflow\s*=\s*\{$(.*?)^\}$", text, re.MULTILINE | re.DOTALL)
        version = assignment(block[1], "version") if block else None
        if version is None:
            raise SettingsError(f"{self.var_file.name}: no version in airflow; set one, such as 3.2.1")
        return version

    @property
    def workloads(self) -> list[str]:
        """The workloads that have an image of ours, sorted: the folders of `images/` with a `workload.toml`."""
        return sorted(file.parent.name for file in (self.root / "images").glob("[!.]*/workload.toml"))

    @property
    def windows_version(self) -> str:
        """The Windows Server that the environment's instances run; modules/cluster says which when it is left out."""
        text = self.var_file.read_text(encoding="utf-8")
        chosen = re.search(r'^\s*windows\s*=\s*\{[^}]*\bversion\s*=\s*"(\d+)"', text, re.MULTILINE)
        return chosen[1] if chosen else WINDOWS_VERSION

    def backend(self, name: str) -> str:
        """A value of the environment's backend file.

        Raises:
            SettingsError: it is not there.
        """
        value = assignment(self.backend_file.read_text(encoding="utf-8"), name)
        if value is None:
            raise SettingsError(f"{self.backend_file.name}: no {name}; name the state's {name} there")
        return value

    @classmethod
    def load(
        cls,
        environment: str | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        root: Path = ROOT,
    ) -> Self:
        """Read the settings.

        Args:
            environment: the command line's `--env`; empty or None: not given.
            environ: the process environment.
            root: the checkout.

        Raises:
            SettingsError: an unknown environment, or a variable that cannot be read.
        """
        environ = os.environ if environ is None else environ
        name = environment or environ.get("WINBATCH_ENV") or "local"
        known = sorted(path.stem for path in (root / "terraform" / "environments").glob("[!.]*.tfvars"))
        if name not in known:
            raise SettingsError(
                f"unknown environment {name!r}{hint(name, known)}; there are {', '.join(known) or 'none'}"
            )
        mirror = environ.get("WINBATCH_TF_MIRROR")
        return cls(
            environment=name,
            root=root,
            state_root=_folder(environ, "WINBATCH_STATE", root / ".state"),
            cache=_folder(environ, "WINBATCH_CACHE", root / ".cache"),
            port=_number(environ, "WINBATCH_PORT", DEFAULT_PORT, lowest=1024, highest=65535),
            min_free_mib=_number(environ, "WINBATCH_MIN_FREE_MIB", 2048, lowest=0, highest=2**40),
            local_path=_folders(environ, "WINBATCH_LOCAL_PATH", root / ".local" / "bin"),
            wine=_chosen(environ, "WINBATCH_WINDOWS", "wine") and name == "local",
            tf_mirror=Path(mirror).absolute() if mirror else None,
            tf_releases=(environ.get("WINBATCH_TF_RELEASES") or RELEASES).rstrip("/"),
        )


def assignment(text: str, name: str) -> str | None:
    """The string that a line of a tfvars or tfbackend file gives to a name; None where there is none."""
    match = re.search(rf'^\s*{re.escape(name)}\s*=\s*"([^"]*)"', text, re.MULTILINE)
    return match[1] if match else None


def _folder(environ: Mapping[str, str], name: str, default: Path) -> Path:
    value = environ.get(name)
    if not value:
        return default
    folder = Path(value).absolute()
    try:
        above = next(path for path in (folder, *folder.parents) if path.exists())
        if not above.is_dir():
            raise SettingsError(f"{name}={value}: {above} is no folder; name one that is there or can be made")
    except OSError as error:
        raise SettingsError(f"{name}={value}: {error.strerror}; name a folder that is there or can be made") from error
    return folder


def _folders(environ: Mapping[str, str], name: str, default: Path) -> tuple[Path, ...]:
    """Read a search path; its folders need not be there (yet).

    Raises:
        SettingsError: one is named relatively, and would be another one in each folder that a command is called in.
    """
    folders = tuple(Path(word).expanduser() for word in environ.get(name, "").split(os.pathsep) if word)
    for folder in folders:
        if not folder.is_absolute():
            raise SettingsError(f"{name}: {folder} is relative; name folders by their whole paths, with colons")
    return folders or (default,)


def _chosen(environ: Mapping[str, str], name: str, choice: str) -> bool:
    value = environ.get(name)
    if value and value != choice:
        raise SettingsError(f"{name}={value}: {choice} or nothing is expected")
    return bool(value)


def _number(environ: Mapping[str, str], name: str, default: int, *, lowest: int, highest: int) -> int:
    text = environ.get(name)
    if not text:
        return default
    if not text.isdecimal() or len(text) > len(str(highest)) or not lowest <= int(text) <= highest:
        raise SettingsError(f"{name}={text}: a whole number from {lowest} to {highest} is expected")
    return int(text)
