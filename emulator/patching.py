"""How the emulator's services take the place of moto's.

moto's server finds a service's requests handler through `urls.url_paths` and its state through a `BackendDict`, both of
which are read when the first request comes. Subclasses are put there before that; nothing of moto is copied.
"""

from __future__ import annotations

import importlib
from typing import Any

from moto.core.base_backend import AccountSpecificBackend, BackendDict


def serve_with(service: str, response: type[Any], replaces: type[Any]) -> None:
    """Let `response` answer wherever the moto class that it extends does."""
    urls = importlib.import_module(f"moto.{service}.urls")
    for path, handler in urls.url_paths.items():
        if getattr(handler, "__self__", None) is replaces:
            urls.url_paths[path] = getattr(response, handler.__name__)


def keep_with(backends: BackendDict[Any], backend: type[Any]) -> None:
    """Let `backend` hold the state of every account and region.

    Raises:
        RuntimeError: there is state already, which the new class would not see
    """
    if any(regions for regions in backends.values()):
        raise RuntimeError(f"{backend.__name__} comes too late: moto has state of {backends.service_name} already")
    for regions in backends.values():
        regions.backend = backend
    backends.backend = backend


def find_at_once() -> None:
    """Let state that is there be found as in any dictionary.

    moto goes through the list of all services under a lock, whenever anybody looks for what a service keeps.
    """
    make_account, make_region = BackendDict.__getitem__, AccountSpecificBackend.__getitem__

    def no_account(backends: BackendDict[Any], account: str) -> Any:
        return make_account(backends, account)

    def no_region(regions: AccountSpecificBackend[Any], name: str) -> Any:
        if name != "global" and name not in regions.regions:
            raise KeyError(name)
        return make_region(regions, name)

    # What moto makes is there when its own code looks it up.
    for kind, missing in ((BackendDict, no_account), (AccountSpecificBackend, no_region)):
        kind.__getitem__ = dict.__getitem__  # type: ignore[method-assign]
        kind.__missing__ = missing  # type: ignore[union-attr]


class OwnUrls:
    """Mixed into a backend outside moto's package: moto looks for its addresses beside its module."""

    moto_service: str

    @property
    def _url_module(self) -> Any:
        return importlib.import_module(f"moto.{self.moto_service}.urls")
