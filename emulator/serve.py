"""`serve`: sets moto up, installs the services, answers until SIGTERM, then stops everything it started."""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import logging
import os
import signal
from pathlib import Path
from threading import Event

log = logging.getLogger("emulator")


def main(options: argparse.Namespace) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        EmulatorError: the port is in use
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    _configure_moto(options)
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    # Only now: what these import reads moto's settings.
    runtime = importlib.import_module("emulator.runtime")
    with runtime.Runtime(
        port=options.port,
        state=_folder(options.state),
        cache=_folder(options.cache),
        account=options.account,
        region=options.region,
        instance_seconds=options.instance_seconds,
        terminate_seconds=options.terminate_seconds,
        airflow=options.airflow,
        identity=options.identity,
        check_answers=options.check_answers,
    ) as running:
        # What is there now stays: the collector need not look at it again, with each of the many objects to come.
        gc.collect()
        gc.freeze()
        ready = options.state / "ready.json"
        # Whole or not there: others read it while it is written.
        partial = ready.with_suffix(".partial")
        partial.write_text(json.dumps({"endpoint_url": running.endpoint_url, "pid": os.getpid()}) + "\n")
        partial.replace(ready)
        log.info("ready at %s", running.endpoint_url)
        try:
            stop.wait()
        finally:
            ready.unlink(missing_ok=True)
            log.info("stopping")


def _configure_moto(options: argparse.Namespace) -> None:
    # What is for the emulator's clients must not send its own look-ups back to it.
    for name in ("HTTP_PROXY", "http_proxy"):
        os.environ.pop(name, None)
    os.environ.update(
        {
            "MOTO_ACCOUNT_ID": options.account,
            # AWS managed policies exist without anybody creating them.
            "MOTO_IAM_LOAD_MANAGED_POLICIES": "true",
            "MOTO_PORT": str(options.port),
            "AWS_DEFAULT_REGION": options.region,
        }
    )


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path.resolve()
