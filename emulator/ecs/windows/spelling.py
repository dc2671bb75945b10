"""Names without case: the spelling that a file has already."""

from __future__ import annotations

from pathlib import Path


class Spelling:
    """Finds names whatever their case, as Windows does, in a folder that only this changes."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[str, dict[str, str]] = {}

    def name(self, name: str) -> str:
        """How a name is spelled.

        Args:
            name: of a file or folder below the root, which need not be there, with slashes.
        """
        found = ""
        for part in filter(None, name.split("/")):
            known = self._known.get(found)
            if known is None:
                there = self._root / found
                known = {entry.name.lower(): entry.name for entry in there.iterdir()} if there.is_dir() else {}
                self._known[found] = known
            found = f"{found}/{known.setdefault(part.lower(), part)}".lstrip("/")
        return found

    def path(self, name: str) -> Path:
        """The path of a file or folder, which need not be there; names have slashes."""
        return self._root / self.name(name)
