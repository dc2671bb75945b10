"""What is said about an image, for those who check it: what it is made of (SPDX) and how it was made (SLSA).

Both are in-toto statements in one artefact that names the image as its subject, which registries list as a referrer.
They are not signed.
"""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.windows.base import Base
from scripts.windows.registry import MANIFESTS, Document, digest_of
from scripts.windows.sources import Sources
from scripts.windows.staging import Archive

ARTIFACT = "application/vnd.in-toto+json"
_EMPTY = b"{}"
_BUILD_TYPE = "urn:winbatch:image-build:1"


@dataclass(frozen=True)
class Parts:
    """What an image is made of.

    Attributes:
        name: the workload's.
        base: what it rests on.
        archives: what was fetched for it.
        packages: name and version of each Python package in it.
        sources: where its own files are from.
    """

    name: str
    base: Base
    archives: Sequence[Archive]
    packages: Sequence[tuple[str, str]]
    sources: Sources


def statements(image: str, parts: Parts) -> list[bytes]:
    """Both statements about the image with this digest."""
    made = (
        ("https://spdx.dev/Document", _spdx(image, parts)),
        ("https://slsa.dev/provenance/v1", _slsa(parts)),
    )
    return [
        _json(
            {
                "_type": "https://in-toto.io/Statement/v0.1",
                "subject": [{"name": parts.name, "digest": {"sha256": image.removeprefix("sha256:")}}],
                "predicateType": kind,
                "predicate": predicate,
            }
        )
        for kind, predicate in made
    ]


def artefact(image: Mapping[str, Any], bodies: Sequence[bytes]) -> tuple[Document, dict[str, bytes]]:
    """The statements as a manifest that refers to an image, and its blobs by digest.

    Args:
        image: the descriptor of the image.
        bodies: the statements.
    """
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFESTS[0],
        "artifactType": ARTIFACT,
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest_of(_EMPTY), "size": len(_EMPTY)},
        "layers": [
            {
                "mediaType": ARTIFACT,
                "digest": digest_of(body),
                "size": len(body),
                "annotations": {"in-toto.io/predicate-type": json.loads(body)["predicateType"]},
            }
            for body in bodies
        ],
        "subject": dict(image),
    }
    return Document(_json(manifest), MANIFESTS[0]), {digest_of(body): body for body in (_EMPTY, *bodies)}


def python_packages(folder: Path) -> list[tuple[str, str]]:
    """Name and version of the packages that lie in a folder, sorted."""
    found = []
    for metadata in folder.glob("*.dist-info"):
        name, _, version = metadata.name.removesuffix(".dist-info").partition("-")
        found.append((name.replace("_", "-").lower(), version))
    return sorted(found)


def _spdx(image: str, parts: Parts) -> dict[str, Any]:
    name, base, sources = parts.name, parts.base, parts.sources
    listed = [
        _package(name, sources.revision or "unknown", sources.url),
        _package(base.name, base.os_version, f"pkg:oci/{base.name.rpartition('/')[2]}@{base.digest}", base.digest),
        *(_package(archive.folder, "", archive.url, archive.sha256) for archive in parts.archives),
        *(_package(package, version, f"pkg:pypi/{package}@{version}") for package, version in parts.packages),
    ]
    described = {"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES"}
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": name,
        "documentNamespace": f"urn:winbatch:image:{image}",
        "creationInfo": {"created": when(sources.time), "creators": ["Tool: winbatch-image-build"]},
        "packages": [{"SPDXID": f"SPDXRef-{number}", **part} for number, part in enumerate(listed)],
        "relationships": [{**described, "relatedSpdxElement": f"SPDXRef-{number}"} for number in range(len(listed))],
    }


def _package(name: str, version: str, location: str, sha256: str = "") -> dict[str, Any]:
    package: dict[str, Any] = {"name": name, "downloadLocation": location if "://" in location else "NOASSERTION"}
    if version:
        package["versionInfo"] = version
    if sha256:
        package["checksums"] = [{"algorithm": "SHA256", "checksumValue": sha256.removeprefix("sha256:")}]
    if location.startswith("pkg:"):
        reference = {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": location}
        package["externalRefs"] = [reference]
    return package


def _slsa(parts: Parts) -> dict[str, Any]:
    name, base, sources = parts.name, parts.base, parts.sources
    materials: list[dict[str, Any]] = [
        {"uri": f"docker://{base.name}", "digest": {"sha256": base.digest.removeprefix("sha256:")}},
        *({"uri": archive.url, "digest": {"sha256": archive.sha256}} for archive in parts.archives),
        *({"uri": f"pkg:pypi/{package}@{version}"} for package, version in parts.packages),
    ]
    if sources.revision:
        commit = sources.revision.removesuffix("-dirty")
        materials.append({"uri": f"git+{sources.url}" if sources.url else "git", "digest": {"gitCommit": commit}})
    return {
        "buildDefinition": {
            "buildType": _BUILD_TYPE,
            "externalParameters": {"workload": name, "dockerfile": f"images/{name}/Dockerfile"},
            "internalParameters": {"sources": sources.key, "revision": sources.revision},
            "resolvedDependencies": materials,
        },
        "runDetails": {"builder": {"id": _BUILD_TYPE}},
    }


def when(seconds: int) -> str:
    """A time as RFC 3339 writes it."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _json(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()
