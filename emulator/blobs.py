"""Content-addressed files on disk: ECR's layers and image configurations."""

from __future__ import annotations

import hashlib
import re
import secrets
from pathlib import Path

_DIGEST = re.compile(r"sha256:[a-f0-9]{64}")


class Upload:
    """A blob under way."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self._hash = hashlib.sha256()

    def append(self, data: bytes) -> None:
        """Write the next bytes."""
        with self.path.open("ab") as file:
            file.write(data)
        self._hash.update(data)
        self.size += len(data)

    @property
    def digest(self) -> str:
        """Give the digest of what has come so far: `sha256:` and hexadecimal digits."""
        return f"sha256:{self._hash.hexdigest()}"


class Blobs:
    """A folder of blobs by digest."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._uploads = folder / "uploads"
        self._uploads.mkdir(parents=True, exist_ok=True)

    def upload(self) -> Upload:
        """Begin an upload, in a file of its own."""
        return Upload(self._uploads / secrets.token_hex(8))

    def keep(self, upload: Upload) -> None:
        """Move a finished upload to its digest's place; an equal blob there stays as it is."""
        upload.path.replace(self.path(upload.digest))

    def path(self, digest: str) -> Path:
        """Where the blob lies, if it does.

        Raises:
            ValueError: not a SHA-256 digest
        """
        if not _DIGEST.fullmatch(digest):
            raise ValueError(f"not a digest: {digest!r}")
        return self._folder / digest.removeprefix("sha256:")
