"""Makes the Airflow DAGs of one release: RELEASE, or while not all of its files are here yet the one before.

invoke dags.release and dags.rollback write this file, by which they switch from one release to another at once.
"""

import importlib
import json
import sys
from pathlib import Path

from airflow.sdk import DAG

RELEASE = "@release@"
PREVIOUS = "@previous@"

_FOLDER = Path(__file__).resolve().parent / "releases"


def _complete(release: str) -> bool:
    """Whether each of a release's files is here as a whole: files arrive one by one, and in any order."""
    folder = _FOLDER / release
    try:
        files = json.loads((folder / "release.json").read_bytes())["files"]
        return all((folder / path).stat().st_size == file["size"] for path, file in files.items())
    except (OSError, ValueError):
        return False


def _serve(release: str) -> None:
    folder = str(_FOLDER / release)
    sys.path.insert(0, folder)
    names = [path.stem for path in sorted(Path(folder).glob("*.py"))]
    # A process that has parsed another release before, or finds our code elsewhere on its path, must not mix.
    for name in list(sys.modules):
        if name.partition(".")[0] in {"winbatch", *names}:
            del sys.modules[name]
    for name in names:
        for key, value in vars(importlib.import_module(name)).items():
            if isinstance(value, DAG):
                globals()[key] = value


for _release in (RELEASE, PREVIOUS):
    if _release and _complete(_release):
        _serve(_release)
        break
else:
    raise RuntimeError(f"release {RELEASE} is not wholly here yet, and there is none before it: wait for the next sync")
