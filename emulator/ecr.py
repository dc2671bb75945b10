"""ECR that really keeps images: layers on disk, digests that are those of the bytes."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flask
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.ecr.exceptions import (
    ImageAlreadyExistsException,
    ImageNotFoundException,
    InvalidLayerPartException,
    InvalidParameterException,
    RepositoryNotFoundException,
    UploadNotFoundException,
)
from moto.ecr.models import ECRBackend, Image, Repository, ecr_backends
from moto.ecr.responses import ECRResponse
from werkzeug.utils import send_file
from werkzeug.wrappers import Request, Response

from emulator.blobs import Blobs, Upload
from emulator.context import Context
from emulator.identity.gate import CALLER
from emulator.patching import OwnUrls, keep_with, serve_with
from emulator.routes import json_response

_MANIFESTS = frozenset(
    {
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    }
)
_INDEXES = frozenset(
    {
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    }
)


class EcrError(ServiceException):
    """An error of ECR's that moto lacks."""


@dataclass
class _DiskUpload:
    repository: str
    upload: Upload


class Tokens:
    """Passwords of the registry, each of whoever got it by GetAuthorizationToken, for twelve hours."""

    def __init__(self) -> None:
        self._owners: dict[str, tuple[str | None, dt.datetime]] = {}

    def mint(self, access_key: str | None, ends: dt.datetime) -> str:
        """A new password of an access key's."""
        now = dt.datetime.now(dt.UTC)
        self._owners = {password: entry for password, entry in self._owners.items() if entry[1] > now}
        password = secrets.token_urlsafe(48)
        self._owners[password] = (access_key, ends)
        return password

    def known(self, password: str) -> bool:
        """Say whether a password is one of these, and still holds."""
        return password in self._owners and self._owners[password][1] > dt.datetime.now(dt.UTC)

    def owner(self, password: str) -> str | None:
        """The access key that got a password which is known."""
        return self._owners[password][0]


class EcrBackend(OwnUrls, ECRBackend):
    """moto's repositories with blobs on disk."""

    moto_service = "ecr"
    blobs: Blobs
    endpoint_url: str
    tokens = Tokens()

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self._uploads: dict[str, _DiskUpload] = {}
        # PutAccountSetting's, and what they are without it.
        self.settings = {
            "BASIC_SCAN_TYPE_VERSION": "AWS_NATIVE",
            "REGISTRY_POLICY_SCOPE": "V2",
            "BLOB_MOUNTING": "DISABLED",
        }

    def initiate_layer_upload(self, repository_name: str, registry_id: str | None = None) -> dict[str, Any]:
        """Begin an upload on disk: AWS takes gigabytes, and moto keeps them in memory."""
        answer = super().initiate_layer_upload(repository_name, registry_id)
        self._uploads[answer["uploadId"]] = _DiskUpload(repository_name, self.blobs.upload())
        return answer

    def upload_layer_part(  # noqa: PLR0917 - moto's signature
        self,
        repository_name: str,
        upload_id: str,
        part_first_byte: int,
        part_last_byte: int,
        layer_part_blob: bytes,
        registry_id: str | None = None,
    ) -> dict[str, Any]:
        """Take the next part of a layer.

        Raises:
            InvalidLayerPartException: it does not begin where the last one ended, or is not as long as it says
        """
        repository, upload = self._find_upload(repository_name, upload_id, registry_id)
        if part_first_byte != upload.size or part_last_byte - part_first_byte + 1 != len(layer_part_blob):
            raise InvalidLayerPartException(repository.registry_id, repository_name, upload_id, upload.size - 1)
        upload.append(layer_part_blob)
        return {
            "registryId": repository.registry_id,
            "repositoryName": repository_name,
            "uploadId": upload_id,
            "lastByteReceived": upload.size - 1,
        }

    def complete_layer_upload(
        self,
        repository_name: str,
        upload_id: str,
        layer_digests: list[str],
        registry_id: str | None = None,
    ) -> dict[str, Any]:
        """Keep an uploaded layer.

        Raises:
            EcrError: as on AWS, where moto takes it: no byte has come, the layer is there, or its digest is another one
        """
        repository, upload = self._find_upload(repository_name, upload_id, registry_id)
        where = f"in the repository with name '{repository_name}' in the registry with id '{repository.registry_id}'"
        # AWS refuses an upload without bytes, and a layer that is there; moto takes both.
        if not upload.size:
            raise EcrError("EmptyUploadException", f"Upload with id '{upload_id}' {where} has no layer parts")
        if upload.digest in repository.layers:
            raise EcrError("LayerAlreadyExistsException", f"Layer with digest '{upload.digest}' already exists {where}")
        # AWS compares its own digest with the caller's; moto ignores the caller's.
        if upload.digest not in layer_digests:
            raise EcrError(
                "InvalidLayerException",
                f"Layer digests {layer_digests} do not match the uploaded layer's digest '{upload.digest}' {where}",
            )
        self.blobs.keep(upload)
        repository.layers[upload.digest] = upload.size
        del self._uploads[upload_id]
        del repository.uploads[upload_id]
        return {
            "registryId": repository.registry_id,
            "repositoryName": repository_name,
            "uploadId": upload_id,
            "layerDigest": upload.digest,
        }

    def put_image(
        self,
        repository_name: str,
        image_manifest: str,
        image_tag: str,
        image_manifest_mediatype: str | None = None,
        digest: str | None = None,
    ) -> Image:
        """Keep an image under the digest of its manifest.

        Raises:
            RepositoryNotFoundException: there is no such repository
            EcrError: what the manifest names is not there, its digest is another one, the image is there without a tag
                already, or the tag cannot be moved
            ImageAlreadyExistsException: this image has the tag already
            InvalidParameterException: it is no manifest, or of a kind that ECR does not take
        """
        if repository_name not in self.repositories:
            # moto raises a bare exception.
            raise RepositoryNotFoundException(repository_name, self.account_id)
        repository = self.repositories[repository_name]
        manifest = _parsed(image_manifest)
        kind = image_manifest_mediatype or manifest.get("mediaType") or "application/vnd.oci.image.manifest.v1+json"
        self._check_references(repository, manifest, kind)
        # AWS names an image by the digest of the manifest's bytes; moto hashes the names of the layers.
        actual = f"sha256:{hashlib.sha256(image_manifest.encode()).hexdigest()}"
        if digest and digest != actual:
            raise EcrError(
                "ImageDigestDoesNotMatchException",
                f"The specified digest '{digest}' does not match the manifest's digest '{actual}'",
            )
        if not image_tag and any(image.get_image_digest() == actual for image in repository.images):
            # moto compares tags only, so it would push an untagged image twice.
            raise EcrError(
                "ImageAlreadyExistsException",
                f"Image with digest '{actual}' already exists in the repository with name '{repository_name}' "
                f"in registry with id '{repository.registry_id}'",
            )
        try:
            return super().put_image(repository_name, image_manifest, image_tag, kind, actual)
        except ImageAlreadyExistsException as error:
            if any(image.get_image_digest() == actual for image in repository.images if image_tag in image.image_tags):
                raise
            # moto takes an immutable tag of another image for the same image again.
            raise EcrError(
                "ImageTagAlreadyExistsException",
                f"The image tag '{image_tag}' already exists in the '{repository_name}' repository and cannot be "
                "overwritten because the repository is immutable.",
            ) from error

    def batch_get_image(
        self,
        repository_name: str,
        registry_id: str | None = None,
        image_ids: list[dict[str, Any]] | None = None,
    ) -> dict[str, Any]:
        """Give images; a failure repeats what was asked for, where moto writes "null" for a tag."""
        answer = super().batch_get_image(repository_name, registry_id, image_ids)
        for failure in answer["failures"]:
            failure["imageId"] = {name: text for name, text in failure["imageId"].items() if text != "null"}
        return answer

    def download_url(self, repository_name: str, digest: str, registry_id: str | None) -> str:
        """Give the address at which a layer is.

        Raises:
            EcrError: the repository has no such layer
        """
        repository = self._get_repository(repository_name, registry_id)
        if digest not in repository.layers:
            raise EcrError(
                "LayersNotFoundException",
                f"The layer with digest '{digest}' does not exist within the repository with name "
                f"'{repository_name}' in the registry with id '{repository.registry_id}'",
            )
        return f"{self.endpoint_url}/_emulator/blobs/{digest}"

    def resolve(self, repository_name: str, reference: str) -> Image:
        """The image with this tag or digest.

        Raises:
            RepositoryNotFoundException, ImageNotFoundException: as AWS answers a pull
        """
        repository = self._get_repository(repository_name)
        tag, digest = (None, reference) if reference.startswith("sha256:") else (reference, None)
        image = repository._get_image(tag, digest)  # noqa: SLF001 - moto's own lookup
        if image.image_manifest_media_type in _INDEXES:
            raise ImageNotFoundException(f"{{imageDigest:'{reference}'}}", repository_name, self.account_id)
        return image

    def upload_of(self, repository_name: str, upload_id: str) -> Upload:
        """A layer's upload under way.

        Raises:
            RepositoryNotFoundException, UploadNotFoundException: there is none
        """
        return self._find_upload(repository_name, upload_id, None)[1]

    def _find_upload(self, repository_name: str, upload_id: str, registry_id: str | None) -> tuple[Repository, Upload]:
        repository = self._get_repository(repository_name, registry_id)
        found = self._uploads.get(upload_id)
        if found is None or found.repository != repository_name:
            raise UploadNotFoundException(upload_id, repository_name, repository.registry_id)
        return repository, found.upload

    def _check_references(self, repository: Repository, manifest: dict[str, Any], kind: str) -> None:
        # AWS refuses an image whose parts it does not have; moto takes it.
        where = f"in the repository with name '{repository.name}' in the registry with id '{repository.registry_id}'"
        if kind in _MANIFESTS:
            wanted = [manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])]
            if missing := [digest for digest in wanted if digest not in repository.layers]:
                raise EcrError(
                    "LayersNotFoundException",
                    f"Layers with digests '{missing}' required for pushing image do not exist {where}",
                )
        elif kind in _INDEXES:
            known = {image.get_image_digest() for image in repository.images}
            if lost := [entry["digest"] for entry in manifest["manifests"] if entry["digest"] not in known]:
                raise EcrError(
                    "ReferencedImagesNotFoundException",
                    f"Images with digests '{lost}' required for pushing image do not exist {where}",
                )
        else:
            raise InvalidParameterException(f"Invalid parameter at 'ImageManifestMediaType': {kind} is not supported")


class EcrResponse(ECRResponse):
    """moto's handlers, and those that it lacks."""

    def get_authorization_token(self) -> ActionResult:
        """Answer GetAuthorizationToken with the caller's own password, for twelve hours."""
        answer = super().get_authorization_token()
        authorized: dict[str, Any] = answer.result  # type: ignore[assignment]
        for entry in authorized["authorizationData"]:
            # AWS's tokens hold for 12 hours and are somebody's; moto's ended in 2015, so that a client that looks asks
            # again and again, and are everybody's.
            entry["expiresAt"] = dt.datetime.now(dt.UTC) + dt.timedelta(hours=12)
            password = EcrBackend.tokens.mint(flask.request.environ.get(CALLER), entry["expiresAt"])
            entry["authorizationToken"] = base64.b64encode(f"AWS:{password}".encode()).decode()
        return answer

    def get_account_setting(self) -> ActionResult:
        """GetAccountSetting, which moto lacks."""
        return ActionResult({"name": self._setting, "value": self._settings[self._setting]})

    def put_account_setting(self) -> ActionResult:
        """PutAccountSetting, which moto lacks."""
        name, value = self._setting, self._get_param("value")
        self._settings[name] = value
        return ActionResult({"name": name, "value": value})

    @property
    def _settings(self) -> dict[str, str]:
        backend: EcrBackend = ecr_backends[self.current_account][self.region]  # type: ignore[assignment]
        return backend.settings

    @property
    def _setting(self) -> str:
        name = str(self._get_param("name"))
        if name not in self._settings:
            raise EcrError("ValidationException", f"Account setting '{name}' is not supported")
        return name

    def get_download_url_for_layer(self) -> ActionResult:  # type: ignore[override] # moto only raises
        """Answer GetDownloadUrlForLayer, for which moto only raises."""
        backend: EcrBackend = ecr_backends[self.current_account][self.region]  # type: ignore[assignment]
        digest = self._get_param("layerDigest")
        url = backend.download_url(self._get_param("repositoryName"), digest, self._get_param("registryId"))
        return ActionResult({"downloadUrl": url, "layerDigest": digest})

    def upload_layer_part(self) -> ActionResult:
        """Answer UploadLayerPart, having read the body once.

        moto parses the whole body, megabytes of base64, once for each parameter.
        """
        part = json.loads(self.body)
        result = self.ecr_backend.upload_layer_part(
            part["repositoryName"],
            part["uploadId"],
            part["partFirstByte"],
            part["partLastByte"],
            base64.b64decode(part["layerPartBlob"]),
            registry_id=part.get("registryId"),
        )
        return ActionResult(result)


def install(context: Context) -> None:
    """Serve ECR from the state folder."""
    blobs = Blobs(context.state / "blobs")
    EcrBackend.blobs = blobs
    EcrBackend.endpoint_url = context.endpoint_url
    keep_with(ecr_backends, EcrBackend)
    serve_with("ecr", EcrResponse, ECRResponse)

    def download(request: Request, digest: str) -> Response:
        try:
            path: Path = blobs.path(digest)
        except ValueError as error:
            return json_response({"error": str(error)}, 400)
        if not path.is_file():
            return json_response({"error": f"no blob {digest}"}, 404)
        return send_file(path, request.environ, mimetype="application/octet-stream")

    context.routes.add("blobs", download)


def shutdown() -> None:
    """Nothing to stop: everything lies in the state folder."""


def _parsed(manifest: str) -> dict[str, Any]:
    try:
        parsed = json.loads(manifest)
    except json.JSONDecodeError:
        parsed = None
    if not isinstance(parsed, dict):
        raise InvalidParameterException(
            "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON syntax'"
        )
    return parsed
