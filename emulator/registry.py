"""ECR's other face: the registry protocol that Docker, skopeo and their kind speak, under `/v2/`.

By the OCI distribution specification 1.1 and what ECR's guide and people's reports say of ECR; images, layers and their
rules are those of the API beside it (`emulator.ecr`). Who calls is who got the password by GetAuthorizationToken, and
each request takes the actions that the guide names for it ("IAM permissions for pushing an image").
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from moto.core.exceptions import ServiceException
from moto.ecr.models import Image, Repository, ecr_backends
from moto.utilities.utils import get_partition
from werkzeug.wrappers import Request, Response

from emulator import locks
from emulator.context import Context
from emulator.ecr import EcrBackend
from emulator.identity.gate import Refused
from emulator.identity.mapping.world import Need
from emulator.identity.principals import ExpiredKeyError, NoKeyError, UnknownKeyError

PREFIX = "/v2/"
_HOST = re.compile(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com")
_DIGEST = re.compile(r"sha256:[a-f0-9]{64}")
_RANGE = re.compile(r"(?:bytes )?(\d+)-(\d+)(?:/.*)?")
_INDEX = "application/vnd.oci.image.index.v1+json"
_MOST_TAGS = 1000
# ECR's errors as the registry tells them: HTTP status and code of the specification.
_ERRORS = {
    "RepositoryNotFoundException": (404, "NAME_UNKNOWN"),
    "ImageNotFoundException": (404, "MANIFEST_UNKNOWN"),
    "UploadNotFoundException": (404, "BLOB_UPLOAD_UNKNOWN"),
    "LayersNotFoundException": (404, "BLOB_UNKNOWN"),
    "ReferencedImagesNotFoundException": (404, "MANIFEST_BLOB_UNKNOWN"),
    "InvalidLayerException": (400, "DIGEST_INVALID"),
    "EmptyUploadException": (400, "BLOB_UPLOAD_INVALID"),
    "ImageDigestDoesNotMatchException": (400, "DIGEST_INVALID"),
    "ImageTagAlreadyExistsException": (400, "TAG_INVALID"),
    "InvalidParameterException": (400, "MANIFEST_INVALID"),
}
Answer = Callable[["_Asked", str], Response]


class RegistryError(Exception):
    """A refusal of the specification's."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass(frozen=True)
class _Asked:
    """One request: whose registry, which repository, and what is wanted of IAM for it."""

    request: Request
    backend: EcrBackend
    name: str
    require: Callable[..., None]

    @property
    def repository(self) -> Repository:
        return self.backend._get_repository(self.name)  # noqa: SLF001 - moto's own lookup


class Registry:
    """Answers `/v2/…`."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._routes: list[tuple[re.Pattern[str], dict[str, Answer]]] = [
            (
                re.compile(r"(.+)/blobs/uploads/()"),
                {"POST": self._begin},
            ),
            (
                re.compile(r"(.+)/blobs/uploads/([^/]+)"),
                {"PATCH": self._append, "PUT": self._finish, "GET": self._progress},
            ),
            (re.compile(r"(.+)/blobs/([^/]+)"), {"GET": self._blob, "HEAD": self._blob}),
            (re.compile(r"(.+)/referrers/([^/]+)"), {"GET": self._referrers}),
            (
                re.compile(r"(.+)/manifests/([^/]+)"),
                {
                    "GET": self._manifest,
                    "HEAD": self._manifest,
                    "PUT": self._put_manifest,
                    "DELETE": self._delete_manifest,
                },
            ),
            (re.compile(r"(.+)/tags/(list)"), {"GET": self._tags}),
        ]

    def respond(self, request: Request) -> Response:
        """Answer one request."""
        try:
            answer = self._respond(request)
        except RegistryError as error:
            answer = _refused(error.status, error.code, str(error))
            if error.status == 401:  # noqa: PLR2004 - HTTP's
                realm = self._context.endpoint_url
                answer.headers["WWW-Authenticate"] = f'Basic realm="{realm}",service="ecr.amazonaws.com"'
        except Refused as error:
            answer = _refused(403, "DENIED", str(error))
        except ServiceException as error:
            status, code = _ERRORS.get(str(error.code), (400, "UNSUPPORTED"))
            answer = _refused(status, code, str(error.message))
        answer.headers["Docker-Distribution-Api-Version"] = "registry/2.0"
        return answer

    def _respond(self, request: Request) -> Response:
        access_key = self._authenticated(request)
        path = request.path.removeprefix(PREFIX.rstrip("/")).strip("/")
        if not path:
            return Response("{}", content_type="application/json")
        # An upload's address may end with a slash.
        wanted = request.path.removeprefix(PREFIX)
        for pattern, methods in self._routes:
            if match := pattern.fullmatch(wanted):
                if request.method not in methods:
                    raise RegistryError(405, "UNSUPPORTED", "The operation is unsupported.")
                with locks.CONTROL:
                    asked = self._asked(request, match[1], access_key)
                    return methods[request.method](asked, match[2])
        raise RegistryError(404, "UNSUPPORTED", f"{wanted} is not part of the registry's API")

    def _authenticated(self, request: Request) -> str | None:
        """The access key of whoever got the password that a request comes with."""
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        try:
            user, _, password = base64.b64decode(given, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            user = password = ""
        if scheme != "Basic" or user != "AWS" or not EcrBackend.tokens.known(password):
            raise RegistryError(401, "UNAUTHORIZED", "Not Authorized")
        return EcrBackend.tokens.owner(password)

    def _asked(self, request: Request, name: str, access_key: str | None) -> _Asked:
        host = _HOST.fullmatch(request.host.partition(":")[0])
        account, region = host.groups() if host else (self._context.account, self._context.region)
        backend: EcrBackend = ecr_backends[account][region]  # type: ignore[assignment]
        identity = self._context.identity

        def require(*actions: str, of: str = name) -> None:
            arn = f"arn:{get_partition(region)}:ecr:{region}:{account}:repository/{of}"
            try:
                principal = identity.principals.of(access_key, None)
            except (NoKeyError, UnknownKeyError, ExpiredKeyError) as error:
                if identity.mode != "enforce":
                    return
                raise RegistryError(401, "UNAUTHORIZED", "Not Authorized") from error
            for action in actions:
                identity.require(principal, Need(f"ecr:{action}", "repository", arn, {}), region)

        return _Asked(request, backend, name, require)

    # --- blobs

    def _begin(self, asked: _Asked, _: str) -> Response:
        given = asked.request.args
        asked.require("InitiateLayerUpload")
        if (digest := given.get("mount")) and self._mounted(asked, digest, given.get("from", "")):
            return _created(f"{PREFIX}{asked.name}/blobs/{digest}", digest)
        upload = str(asked.backend.initiate_layer_upload(asked.name)["uploadId"])
        if given.get("digest"):
            return self._finish(asked, upload)
        return self._under_way(asked, upload, 202)

    def _mounted(self, asked: _Asked, digest: str, source: str) -> bool:
        """Take a layer over from another repository, where the registry's owner allows that.

        Source: ECR guide, "Blob mounting in Amazon ECR": off unless PutAccountSetting says otherwise, and only between
        repositories of the same encryption.
        """
        if asked.backend.settings["BLOB_MOUNTING"] != "ENABLED" or source not in asked.backend.repositories:
            return False
        other, here = asked.backend.repositories[source], asked.repository
        if digest not in other.layers or other.encryption_configuration != here.encryption_configuration:
            return False
        asked.require("GetDownloadUrlForLayer", of=source)
        here.layers[digest] = other.layers[digest]
        return True

    def _append(self, asked: _Asked, upload_id: str) -> Response:
        asked.require("UploadLayerPart")
        self._take(asked, upload_id)
        return self._under_way(asked, upload_id, 202)

    def _take(self, asked: _Asked, upload_id: str) -> None:
        upload = asked.backend.upload_of(asked.name, upload_id)
        data = asked.request.get_data()
        if bounds := _RANGE.fullmatch(asked.request.headers.get("Content-Range", "")):
            first, last = int(bounds[1]), int(bounds[2])
            if first != upload.size or last - first + 1 != len(data):
                raise RegistryError(416, "BLOB_UPLOAD_INVALID", f"The upload goes on at byte {upload.size}")
        if data:
            upload.append(data)

    def _finish(self, asked: _Asked, upload_id: str) -> Response:
        asked.require("CompleteLayerUpload")
        digest = asked.request.args.get("digest", "")
        if not _DIGEST.fullmatch(digest):
            raise RegistryError(400, "DIGEST_INVALID", f"{digest!r} is no SHA-256 digest")
        self._take(asked, upload_id)
        try:
            asked.backend.complete_layer_upload(asked.name, upload_id, [digest])
        except ServiceException as error:
            # It is there: what the client wants.
            if error.code != "LayerAlreadyExistsException":
                raise
        return _created(f"{PREFIX}{asked.name}/blobs/{digest}", digest)

    def _progress(self, asked: _Asked, upload_id: str) -> Response:
        return self._under_way(asked, upload_id, 204)

    def _under_way(self, asked: _Asked, upload_id: str, status: int) -> Response:
        upload = asked.backend.upload_of(asked.name, upload_id)
        answer = Response(status=status)
        answer.headers["Location"] = f"{PREFIX}{asked.name}/blobs/uploads/{upload_id}"
        answer.headers["Range"] = f"0-{max(upload.size - 1, 0)}"
        answer.headers["Docker-Upload-UUID"] = upload_id
        return answer

    def _blob(self, asked: _Asked, digest: str) -> Response:
        asked.require("BatchCheckLayerAvailability" if asked.request.method == "HEAD" else "GetDownloadUrlForLayer")
        if digest not in asked.repository.layers:
            raise RegistryError(404, "BLOB_UNKNOWN", f"The layer with digest '{digest}' does not exist")
        if asked.request.method == "GET":
            # ECR sends clients on to S3, by an address that needs no credentials.
            answer = Response(status=307)
            answer.headers["Location"] = asked.backend.download_url(asked.name, digest, None)
        else:
            answer = Response(content_type="application/octet-stream")
            answer.headers["Content-Length"] = str(asked.repository.layers[digest])
        answer.headers["Docker-Content-Digest"] = digest
        return answer

    # --- manifests and tags

    def _manifest(self, asked: _Asked, reference: str) -> Response:
        asked.require("BatchGetImage")
        image = _found(asked, reference)
        if image is None:
            raise RegistryError(404, "MANIFEST_UNKNOWN", "Requested image not found")
        body = image.image_manifest.encode()
        answer = Response(body, content_type=image.image_manifest_media_type)
        answer.headers["Docker-Content-Digest"] = image.get_image_digest()
        return answer

    def _put_manifest(self, asked: _Asked, reference: str) -> Response:
        asked.require("PutImage")
        tag, digest = (None, reference) if _DIGEST.fullmatch(reference) else (reference, None)
        try:
            manifest = asked.request.get_data().decode()
        except UnicodeDecodeError as error:
            raise RegistryError(400, "MANIFEST_INVALID", "The manifest is no text") from error
        try:
            image: Image | None = asked.backend.put_image(
                asked.name,
                manifest,
                tag,  # type: ignore[arg-type] # none is none
                asked.request.content_type,
                digest,
            )
        except ServiceException as error:
            # The same image again is there already.
            if error.code != "ImageAlreadyExistsException":
                raise
            image = _found(asked, reference)
        assert image is not None, "it was put, or was there"
        digest = image.get_image_digest()
        answer = _created(f"{PREFIX}{asked.name}/manifests/{digest}", digest)
        if subject := _subject(image):
            answer.headers["OCI-Subject"] = subject
        return answer

    def _delete_manifest(self, asked: _Asked, reference: str) -> Response:
        """Remove an image with its tags, or a tag; the guide's "Deleting signatures and other artifacts" does so."""
        asked.require("BatchDeleteImage")
        wanted = {"imageDigest" if _DIGEST.fullmatch(reference) else "imageTag": reference}
        if _found(asked, reference) is None:
            raise RegistryError(404, "MANIFEST_UNKNOWN", "Requested image not found")
        failures = asked.backend.batch_delete_image(asked.name, image_ids=[wanted])["failures"]
        if failures:
            raise RegistryError(405, "UNSUPPORTED", str(failures[0]["failureReason"]))
        return Response(status=202)

    def _referrers(self, asked: _Asked, digest: str) -> Response:
        """An index of the manifests whose subject an image is, whether it is there or not."""
        # As ListImageReferrers, says its reference.
        asked.require("BatchGetImage")
        if not _DIGEST.fullmatch(digest):
            raise RegistryError(400, "DIGEST_INVALID", f"{digest!r} is no SHA-256 digest")
        entries = [_referrer(image) for image in asked.repository.images if _subject(image) == digest]
        wanted = asked.request.args.get("artifactType")
        manifests = [entry for entry in entries if wanted in {None, entry["artifactType"]}]
        answer = _json({"schemaVersion": 2, "mediaType": _INDEX, "manifests": manifests})
        answer.content_type = _INDEX
        if wanted:
            answer.headers["OCI-Filters-Applied"] = "artifactType"
        return answer

    def _tags(self, asked: _Asked, _: str) -> Response:
        asked.require("ListImages")
        size = min(int(asked.request.args.get("n", _MOST_TAGS)), _MOST_TAGS)
        last = asked.request.args.get("last", "")
        tags = sorted(tag for image in asked.repository.images for tag in image.image_tags if tag > last)
        answer = _json({"name": asked.name, "tags": tags[:size]})
        if len(tags) > size > 0:
            answer.headers["Link"] = f'<{PREFIX}{asked.name}/tags/list?n={size}&last={tags[size - 1]}>; rel="next"'
        return answer


def _found(asked: _Asked, reference: str) -> Image | None:
    digest = _DIGEST.fullmatch(reference)
    for image in asked.repository.images:
        if reference == image.get_image_digest() if digest else reference in image.image_tags:
            return image
    return None


def _subject(image: Image) -> str | None:
    """The digest of what an image is about: a signature, say, of what it signs."""
    subject: str | None = (json.loads(image.image_manifest).get("subject") or {}).get("digest")
    return subject


def _referrer(image: Image) -> dict[str, Any]:
    """An image as an index has it."""
    manifest = json.loads(image.image_manifest)
    return {
        "mediaType": image.image_manifest_media_type,
        "digest": image.get_image_digest(),
        "size": len(image.image_manifest.encode()),
        "artifactType": manifest.get("artifactType") or (manifest.get("config") or {}).get("mediaType", ""),
        "annotations": manifest.get("annotations") or {},
    }


def _created(location: str, digest: str) -> Response:
    answer = Response(status=201)
    answer.headers["Location"] = location
    answer.headers["Docker-Content-Digest"] = digest
    return answer


def _json(value: Any, status: int = 200) -> Response:
    return Response(json.dumps(value), status, content_type="application/json")


def _refused(status: int, code: str, message: str) -> Response:
    return _json({"errors": [{"code": code, "message": message, "detail": None}]}, status)


def install(context: Context) -> None:
    """Serve the registry."""
    context.routes.mount(PREFIX, Registry(context).respond)


def shutdown() -> None:
    """Nothing to stop."""
