"""Where numba keeps what it has compiled: in the interpreter's folder, by the package's content.

Beside the code it would go with each container, and the next one would compile for seconds again.
"""

import functools
import hashlib
import sys
from pathlib import Path
from typing import Any

from numba.core.caching import InTreeCacheLocator


class ByContent(InTreeCacheLocator):
    """A folder for each content of the package: constants of other modules are compiled in, too."""

    def __init__(self, py_func: Any, py_file: str) -> None:
        super().__init__(py_func, py_file)  # type: ignore[no-untyped-call]
        self._cache_path = str(Path(sys.prefix) / "numba" / _digest(Path(py_file).parent))


@functools.cache
def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        content = path.read_bytes()
        digest.update(f"{path.name} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16]
