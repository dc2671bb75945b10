"""The aws provider: from the registry, and where that cannot be reached from a filesystem mirror.

The choice stands in a CLI configuration in the cache folder, which every Terraform command is given. One lock file
serves both ways.
"""

import json
import os
import re
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from scripts.core.errors import ToolError
from scripts.core.settings import Settings
from scripts.tools.terraform_command import platform_name

REGISTRY = "https://registry.terraform.io/.well-known/terraform.json"
PROVIDERS = "registry.terraform.io"
# Where systems keep software that did not come with them; searched this deep, the shallow first, and no further.
SOFTWARE_FOLDERS = ("/opt", "/usr/local", "/usr/share", "/usr/lib", "/srv", "/var/lib")
SEARCH_DEPTH = 4
SEARCH_FOLDERS = 50_000


def locked_provider(lock_file: Path) -> str:
    """The aws provider's version in `.terraform.lock.hcl`.

    Raises:
        ToolError: it is not there.
    """
    text = lock_file.read_text(encoding="utf-8")
    block = re.search(rf'^provider "{PROVIDERS}/hashicorp/aws" \{{$(.*?)^\}}$', text, re.MULTILINE | re.DOTALL)
    version = re.search(r'^\s*version\s*=\s*"([^"]+)"', block[1], re.MULTILINE) if block else None
    if version is None:
        raise ToolError(f"{lock_file.name} does not name hashicorp/aws: restore it from git")
    return version[1]


def mirror_holds(mirror: Path, version: str) -> bool:
    """Whether a filesystem mirror has the aws provider for this machine, packed or unpacked."""
    name = platform_name()
    folder = mirror / PROVIDERS / "hashicorp" / "aws"
    archive = folder / f"terraform-provider-aws_{version}_{name}.zip"
    try:
        return (folder / version / name).is_dir() or archive.is_file()
    except OSError:
        return False


def find_mirror(
    version: str, *, named: Path | None, environ: Mapping[str, str], folders: Sequence[str] = SOFTWARE_FOLDERS
) -> Path | None:
    """A filesystem mirror with the aws provider.

    Args:
        version: the provider's.
        named: the one that the user named; then no other is looked at.
        environ: the process environment, for Terraform's implied folders.
        folders: where else to look.

    Raises:
        ToolError: the named one does not hold the provider.
    """
    if named is not None:
        if not mirror_holds(named, version):
            raise ToolError(
                f"WINBATCH_TF_MIRROR={named}: no {PROVIDERS}/hashicorp/aws/{version}/{platform_name()} in it;"
                " name a mirror that has it, or unset the variable to use the registry"
            )
        return named
    for mirror in [*_implied_mirrors(environ), *_deep(folders)]:
        if mirror_holds(mirror, version):
            return mirror
    return None


def _implied_mirrors(environ: Mapping[str, str]) -> list[Path]:
    """The folders that Terraform itself looks into (its documentation, "Implied Local Mirror Directories")."""
    home = Path(environ.get("HOME") or "/nonexistent")
    data = [Path(environ.get("XDG_DATA_HOME") or home / ".local/share")]
    data += [Path(folder) for folder in environ.get("XDG_DATA_DIRS", "").split(":") if folder]
    data += [Path("/usr/local/share"), Path("/usr/share")]
    return [home / ".terraform.d/plugins", *(folder / "terraform/plugins" for folder in data)]


def _deep(folders: Sequence[str]) -> Iterator[Path]:
    """Folders that hold one called like the registry, the shallow ones first."""
    level = [Path(folder) for folder in folders]
    seen = 0
    for _ in range(SEARCH_DEPTH):
        below: list[Path] = []
        for folder in level:
            seen += 1
            if seen > SEARCH_FOLDERS:
                return
            try:
                names = [entry.name for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]
            except OSError:
                continue
            if PROVIDERS in names:
                yield folder
            below += [folder / name for name in names]
        level = below


def registry_answers(timeout: float = 4.0) -> bool:
    """Whether the provider registry can be reached."""
    try:
        with urllib.request.urlopen(REGISTRY, timeout=timeout) as answer:
            return bool(answer.status == 200)  # noqa: PLR2004 - OK
    except OSError:
        return False


def cli_config(mirror: Path | None, plugin_cache: Path) -> str:
    """Terraform's CLI configuration: from the mirror where there is one, else from the registry."""
    # Quoted as JSON: a path may hold a quote or a backslash.
    lines = [f"plugin_cache_dir = {_quoted(plugin_cache)}", "disable_checkpoint = true"]
    if mirror is not None:
        # With a plain `direct` beside the mirror Terraform asks the registry all the same, and fails without one.
        lines = [
            "disable_checkpoint = true",
            "provider_installation {",
            "  filesystem_mirror {",
            f"    path    = {_quoted(mirror)}",
            f'    include = ["{PROVIDERS}/hashicorp/*"]',
            "  }",
            "  direct {",
            f'    exclude = ["{PROVIDERS}/hashicorp/*"]',
            "  }",
            "}",
        ]
    return "\n".join(lines) + "\n"


def _quoted(path: Path) -> str:
    return json.dumps(str(path), ensure_ascii=False)


def config_file(settings: Settings) -> Path:
    """The generated CLI configuration; `TF_CLI_CONFIG_FILE` is set to it for every command.

    Raises:
        ToolError: set-up has not run yet.
    """
    path = settings.cache / "terraform.tfrc"
    if not path.is_file():
        raise ToolError("the set-up has not run yet: make setup")
    return path


def write_config(settings: Settings, environ: Mapping[str, str] | None = None) -> str:
    """Choose where the provider comes from and write the CLI configuration.

    Returns:
        Where it comes from, in words.

    Raises:
        ToolError: neither the registry nor a mirror has the provider.
    """
    environ = os.environ if environ is None else environ
    version = locked_provider(settings.terraform_root / ".terraform.lock.hcl")
    mirror = None
    if settings.tf_mirror is not None or not registry_answers():
        mirror = find_mirror(version, named=settings.tf_mirror, environ=environ)
        if mirror is None:
            raise ToolError(
                f"Terraform's aws provider {version} is missing: the registry cannot be reached and no mirror on this"
                " machine has it. Name a filesystem mirror (`terraform providers mirror`) in WINBATCH_TF_MIRROR"
            )
    plugin_cache = settings.cache / "terraform-plugins"
    plugin_cache.mkdir(parents=True, exist_ok=True)
    path = settings.cache / "terraform.tfrc"
    text = cli_config(mirror, plugin_cache)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
    return f"from {mirror}" if mirror else "from the registry"
