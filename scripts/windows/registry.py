"""A repository of a container registry, by the OCI distribution API: AWS's, Microsoft's, or one of the tests."""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urljoin

import httpx

from scripts.core.errors import ImageError

INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_CHUNK = 1 << 20
_LOCAL = ("127.0.0.1", "localhost")
_SMALL = 4 << 20


@dataclass(frozen=True)
class Document:
    """A manifest or an index, as its bytes.

    Attributes:
        body: the bytes, which are what its digest is of.
        media_type: what it is.
    """

    body: bytes
    media_type: str

    @property
    def digest(self) -> str:
        """Give the digest of its bytes."""
        return digest_of(self.body)


class Repository:
    """One repository; requests follow redirects.

    Args:
        name: `host/path`, as an image's name begins.
        authorization: the value of the header, if the registry wants one.
        emulated: whether it is the local emulator's.
    """

    def __init__(self, name: str, authorization: str | None = None, *, emulated: bool = False) -> None:
        self.name = name
        self.emulated = emulated
        host, _, path = name.partition("/")
        # As container engines do: a registry on this machine has no certificate, and no proxy leads to it.
        local = host.split(":")[0] in _LOCAL
        self._base = f"{'http' if local else 'https'}://{host}/v2/{path}/"
        self._client = httpx.Client(
            headers={"Authorization": authorization} if authorization else {},
            follow_redirects=True,
            timeout=httpx.Timeout(120, connect=20),
            trust_env=not local,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def has(self, kind: str, digest: str) -> bool:
        """Whether it has one of `blobs` or `manifests` of this digest."""
        accept = {"Accept": ", ".join((*MANIFESTS, *INDEXES))} if kind == "manifests" else {}
        answer = self._send("HEAD", f"{kind}/{digest}", headers=accept, also=(404,))
        return answer.status_code == httpx.codes.OK

    def document(self, digest: str) -> Document:
        """A manifest or an index.

        Raises:
            ImageError: it is not there, or is another one.
        """
        accept = {"Accept": ", ".join((*MANIFESTS, *INDEXES))}
        answer = self._send("GET", f"manifests/{digest}", headers=accept)
        self._check(answer.content, digest)
        media_type = answer.headers.get("Content-Type", "").split(";")[0]
        return Document(answer.content, media_type or json.loads(answer.content).get("mediaType", MANIFESTS[0]))

    def small(self, digest: str) -> bytes:
        """A blob of a few kilobytes, such as a configuration.

        Raises:
            ImageError: it is not there, or is another one.
        """
        with self._stream(digest) as chunks:
            content = b""
            for chunk in chunks:
                content += chunk
                if len(content) > _SMALL:
                    raise ImageError(f"{self.name}: {digest} is no configuration")
        self._check(content, digest)
        return content

    def copy(self, digest: str, size: int, target: "Repository", progress: Callable[[int], None]) -> None:
        """Hand a blob on to another repository without keeping it.

        Raises:
            ImageError: one of the two refuses, or what arrives is another blob.
        """
        with self._stream(digest) as chunks:
            target.upload(digest, size, chunks, progress)

    def upload(self, digest: str, size: int, chunks: Iterable[bytes], progress: Callable[[int], None]) -> None:
        """Upload a blob; the registry compares the digest.

        Args:
            digest: of the blob.
            size: bytes.
            chunks: the blob.
            progress: told the number of bytes that went out with each chunk.

        Raises:
            ImageError: the registry refuses it.
        """

        def told() -> Iterator[bytes]:
            for chunk in chunks:
                yield chunk
                progress(len(chunk))

        begun = self._send("POST", "blobs/uploads/", headers={"Content-Length": "0"})
        place = urljoin(str(begun.url), begun.headers["Location"])
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        sent = self._send("PATCH", place, headers=headers, content=told())
        place = urljoin(str(sent.url), sent.headers["Location"])
        done = httpx.URL(place).copy_add_param("digest", digest)
        self._send("PUT", str(done), headers={"Content-Length": "0"})

    def put(self, document: Document, reference: str = "") -> None:
        """Put a manifest under a tag, or under its digest alone.

        Raises:
            ImageError: the registry refuses it.
        """
        headers = {"Content-Type": document.media_type}
        self._send("PUT", f"manifests/{reference or document.digest}", headers=headers, content=document.body)

    @contextlib.contextmanager
    def _stream(self, digest: str) -> Iterator[Iterator[bytes]]:
        try:
            with self._client.stream("GET", self._base + f"blobs/{digest}") as answer:
                if answer.is_error:
                    answer.read()
                    raise self._refused(answer)
                yield self._chunks(answer)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    def _chunks(self, answer: httpx.Response) -> Iterator[bytes]:
        """A body as it arrives; what goes wrong with it is not the fault of who takes it on."""
        try:
            yield from answer.iter_raw(_CHUNK)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    def _send(
        self,
        method: str,
        path: str,
        *,
        headers: dict[str, str],
        content: bytes | Iterator[bytes] | None = None,
        also: tuple[int, ...] = (),
    ) -> httpx.Response:
        try:
            answer = self._client.request(method, urljoin(self._base, path), headers=headers, content=content)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        if answer.is_error and answer.status_code not in also:
            raise self._refused(answer)
        return answer

    def _unreachable(self, error: httpx.HTTPError) -> ImageError:
        return ImageError(f"{self.name} cannot be reached: {error or type(error).__name__}; calling again continues")

    def _refused(self, answer: httpx.Response) -> ImageError:
        """What a registry's error says, in a line."""
        try:
            words = "; ".join(error.get("message") or error["code"] for error in answer.json()["errors"])
        except (ValueError, KeyError, TypeError):
            words = answer.reason_phrase
        request = answer.request
        return ImageError(f"{self.name} answers {request.method} {request.url.path} with {answer.status_code}: {words}")

    def _check(self, content: bytes, digest: str) -> None:
        if digest_of(content) != digest:
            raise ImageError(f"{self.name}: what was served for {digest} is {digest_of(content)}")


def digest_of(content: bytes) -> str:
    """A content's digest, as registries write it."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
