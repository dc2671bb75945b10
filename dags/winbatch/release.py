"""Which release of the DAGs this code is, and how a running job keeps the one that it began with.

A release is a folder `releases/<id>/` beside the DAG file that serves it (scripts/dag_releases makes both). Nothing in
it ever changes: another content has another id. In a checkout and in a workload's image there is no release.
"""

import functools
import hashlib
import logging
import sys
from pathlib import Path

log = logging.getLogger(__name__)

_ROOT = Path(__file__).resolve().parent.parent
# What a release's folder lists itself in; a folder that is on its way out has lost it first.
MANIFEST = "release.json"


def current(root: Path = _ROOT) -> str:
    """The release that this code belongs to; empty for none."""
    return root.name if root.parent.name == "releases" else ""


@functools.cache
def code() -> str:
    """Name the code of this package by what its files hold: that of a release is called as in its checkout."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def use(release: str, root: Path = _ROOT) -> None:
    """Import `winbatch` from another release from now on; without effect where that is gone, or is this one.

    For the process of one Airflow task: what is imported already stays as it is for who holds it.
    """
    mine = current(root)
    if not release or not mine or release == mine:
        return
    folder = root.parent / release
    if not (folder / MANIFEST).is_file():
        log.warning("the job began with release %s, which is gone; it goes on with %s", release, mine)
        return
    log.info("the job began with release %s, and goes on with it", release)
    sys.path.insert(0, str(folder))
    for name in [name for name in sys.modules if name.partition(".")[0] == "winbatch"]:
        del sys.modules[name]
