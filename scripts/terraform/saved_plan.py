"""Saved plans: a file that is reviewed first and applied later, perhaps on another machine.

It is a zip of Terraform's plan and a manifest, which binds it to an environment, a commit, the files that Terraform
read, and the state that it was made against. Terraform's plan holds every value in the clear, secret or not: a file
that others may come by is sealed (`scripts.terraform.encryption`).
"""

import dataclasses
import hashlib
import io
import json
import os
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scripts.core import checkout, given
from scripts.core.errors import PlanRefused
from scripts.core.settings import Settings
from scripts.terraform import encryption
from scripts.terraform.state import StateId
from winbatch.times import format_time

SCHEMA = 2
_PLAN = "plan"
_MANIFEST = "manifest.json"
# Terraform's own file is a zip, too; this is the state that it planned against.
_STATE = "tfstate"


@dataclass(frozen=True, kw_only=True)
class Bound:
    """What a plan holds for, and nothing else.

    Attributes:
        environment: its name.
        commit: in full; empty where there is no git.
        sources: SHA-256 over the files that Terraform reads in the checkout.
        lineage: of the state.
        serial: of the state.
    """

    environment: str
    commit: str
    sources: str
    lineage: str
    serial: int

    @property
    def state(self) -> StateId:
        """Give the version of the state that it was made against."""
        return StateId(self.lineage, self.serial)


@dataclass(frozen=True)
class SavedPlan:
    """A saved plan.

    Attributes:
        bound: what it holds for.
        created_at: UTC.
        summary: what it would do, as `invoke plan --json` had it.
        images: the digests that its task definitions name, by workload.
        content: Terraform's plan.
    """

    bound: Bound
    created_at: str
    summary: Mapping[str, Any]
    images: Mapping[str, str]
    content: bytes

    @property
    def digest(self) -> str:
        """Give the SHA-256 of Terraform's plan, in hexadecimal."""
        return hashlib.sha256(self.content).hexdigest()


def here(settings: Settings, state: StateId) -> Bound:
    """What a plan of this checkout and this state is bound to."""
    return Bound(
        environment=settings.environment,
        commit=checkout.commit(settings.root) or "",
        sources=sources(settings),
        lineage=state.lineage,
        serial=state.serial,
    )


def sources(settings: Settings) -> str:
    """SHA-256 over what Terraform reads of the checkout: its files, the environment's values, the lock file."""
    root = settings.terraform_root
    files = [*root.glob("*.tf"), *(path for path in root.glob("modules/*/*") if path.suffix != ".md")]
    files += [root / ".terraform.lock.hcl", settings.var_file, settings.backend_file]
    digest = hashlib.sha256()
    for path in sorted(path for path in files if path.is_file()):
        content = path.read_bytes()
        name = path.relative_to(root) if path.is_relative_to(root) else Path(path.name)
        digest.update(f"{name.as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def refusal(bound: Bound, now_here: Bound) -> str | None:
    """Why a plan may not be applied here and now; None when it may."""
    again = f"make a new one: invoke plan --env {now_here.environment} --out FILE"
    if bound.environment != now_here.environment:
        return f"the plan is one of environment {bound.environment}, not of {now_here.environment}"
    if bound.commit != now_here.commit:
        return (
            f"the plan was made of commit {bound.commit[:12] or '(none)'}, and {now_here.commit[:12] or 'none'} is"
            f" checked out: check that one out, or {again}"
        )
    if bound.sources != now_here.sources:
        return f"files below terraform/ differ from those that the plan was made of: restore them, or {again}"
    if bound.lineage != now_here.lineage:
        return f"the plan was made against another state (the environment was made anew since): {again}"
    if bound.serial != now_here.serial:
        return (
            f"the plan is stale: it was made against the state's serial {bound.serial}, which is at {now_here.serial}"
            f" now, so somebody has applied since: {again}"
        )
    return None


def state_of(content: bytes) -> StateId:
    """The state that a plan of Terraform's was made against."""
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        return StateId.read(json.loads(file.read(_STATE)))


def pack(plan: Path, settings: Settings, summary: Mapping[str, Any], images: Mapping[str, str]) -> bytes:
    """Terraform's plan with what it is bound to, as a file's content."""
    content = plan.read_bytes()
    manifest = {
        "schema": SCHEMA,
        **dataclasses.asdict(here(settings, state_of(content))),
        "created_at": format_time(datetime.now(UTC)),
        "summary": summary,
        "images": dict(images),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        target.writestr(_MANIFEST, json.dumps(manifest, indent=1, sort_keys=True))
        target.writestr(_PLAN, content)
    return buffer.getvalue()


def save(file: Path, packed: bytes) -> None:
    """Save a plan, or a sealed one; only its owner may read the file.

    Raises:
        SettingsError: it cannot be written.
    """
    with given.path("--out", file):
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_name(f".{file.name}.partial")
        write_private(partial, packed)
        partial.replace(file)


def load(file: Path, kms: Any, settings: Settings) -> SavedPlan:
    """Read a saved plan, sealed or not.

    Raises:
        PlanRefused: there is none, it is something else, or it was changed.
        SettingsError: it cannot be read.
    """
    again = f"invoke plan --env {settings.environment} --out {file.name}"
    with given.path("--plan", file):
        if not file.is_file():
            raise PlanRefused(f"{file} is not there: make the plan: {again}")
        packed = file.read_bytes()
    if encryption.sealed(packed):
        packed = encryption.unseal(kms, packed, purpose(settings))
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as source:
            manifest = json.loads(source.read(_MANIFEST))
            content = source.read(_PLAN)
        if manifest["schema"] != SCHEMA:
            raise PlanRefused(f"{file}: its schema is {manifest['schema']}, {SCHEMA} is expected: make a new plan")
        bound = Bound(**{field.name: manifest[field.name] for field in dataclasses.fields(Bound)})
        found = SavedPlan(bound, manifest["created_at"], manifest["summary"], manifest["images"], content)
        if found.digest != manifest["sha256"]:
            raise PlanRefused(f"{file}: the plan in it is not the one that was saved: make a new plan")
    # What zipfile says of files that are not whole depends on where they are not.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, LookupError, ValueError, TypeError) as error:
        raise PlanRefused(f"{file} is no plan that invoke plan --out has saved ({error}): make a new one") from error
    return found


def require_images(saved: SavedPlan, built: Mapping[str, str]) -> None:
    """Refuse a plan whose images are not those that are built here: its task definitions would name what nobody has.

    Raises:
        PlanRefused: one differs.
    """
    for workload in sorted({*saved.images, *built}):
        planned, found = saved.images.get(workload, "none"), built.get(workload, "none")
        if planned != found:
            raise PlanRefused(
                f"the plan names image {planned[:19]} of workload {workload}, and of the same commit this machine"
                f" builds {found[:19]}: make the plan here: invoke plan --env {saved.bound.environment} --out FILE"
            )


def purpose(settings: Settings) -> dict[str, str]:
    """What a sealed plan is for: the pipeline's roles may use the state's key for this alone (terraform/bootstrap)."""
    return {"environment": settings.environment, "purpose": "plan"}


def write_private(file: Path, content: bytes) -> None:
    """Write a file that only its owner may read, from its first byte on."""
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as target:
        target.write(content)
