"""The `awslogs` driver: what containers print, in CloudWatch Logs about a second later."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping
from threading import Event, Lock, Thread
from typing import IO, Any

from moto.logs.exceptions import LogsClientError
from moto.logs.models import LogsBackend, logs_backends

from emulator import locks

log = logging.getLogger(__name__)

_FLUSH_SECONDS = 1.0
# What a container may have waiting where its driver does not block: ECS's default (account setting
# defaultLogDriverMode, non-blocking since 25 June 2025; ECS API reference, LogConfiguration: 10m).
_BUFFER = "10m"
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kmgtp]?)i?b?", re.IGNORECASE)
_MAX_EVENT_BYTES = 256 * 1024 - 26  # CloudWatch's limit, less what it counts for each event


class LogDriverError(Exception):
    """A container's log driver cannot start; the text is what ECS says about it."""


class Stream:
    """One container's log stream."""

    def __init__(self, backend: LogsBackend, group: str, name: str, most: float) -> None:
        """Begin empty.

        Args:
            backend: that has the group.
            group: its name.
            name: of the stream.
            most: bytes that may wait to be sent; what comes then is dropped, as moby's ring logger does.
        """
        self._backend = backend
        self._most = most
        self._waiting = 0
        self._group = group
        self._name = name
        self._lock = Lock()
        self._events: list[dict[str, Any]] = []

    def follow(self, output: IO[bytes]) -> None:
        """Take lines until the last process that holds the other end is gone."""
        while line := output.readline(_MAX_EVENT_BYTES):
            message = line.rstrip(b"\r\n").decode(errors="replace")
            # CloudWatch takes no empty event; the driver leaves empty lines out.
            if message:
                with self._lock:
                    if self._events and self._waiting + len(line) > self._most:
                        continue
                    self._waiting += len(line)
                    self._events.append({"timestamp": int(time.time() * 1000), "message": message})

    def flush(self) -> None:
        """Send what there is."""
        with self._lock:
            events, self._events, self._waiting = self._events, [], 0
        if not events:
            return
        # The clock may have been set back meanwhile, and CloudWatch takes batches in order only.
        events.sort(key=lambda event: event["timestamp"])
        with locks.CONTROL:
            try:
                self._backend.put_log_events(self._group, self._name, events)
            except LogsClientError as error:
                # As on AWS: a group that is deleted meanwhile loses its lines, and the container goes on.
                log.warning("%d lines of %s %s are lost: %s", len(events), self._group, self._name, error)


class Discard:
    """The output of a container without a log driver."""

    def follow(self, output: IO[bytes]) -> None:
        """Read what a container prints until it closes its output, and keep nothing."""
        while output.read1(65536):  # type: ignore[attr-defined] # a pipe's reader is buffered
            pass

    def flush(self) -> None:
        """Nothing is kept."""


class LogDriver:
    """Opens streams and sends their lines once a second."""

    def __init__(self, account: str, region: str) -> None:
        self._account = account
        self._region = region
        self._streams: set[Stream | Discard] = set()
        self._lock = Lock()
        self._stop = Event()
        self._thread = Thread(target=self._run, name="awslogs", daemon=True)
        self._thread.start()

    def open(
        self, configuration: Mapping[str, Any] | None, container: str, task_id: str, runtime_id: str
    ) -> Stream | Discard:
        """The stream that a container's `logConfiguration` asks for.

        Raises:
            LogDriverError: its log group does not exist, or the driver or its mode is not one that this host has
        """
        if configuration is None or configuration["logDriver"] in {"none", "json-file"}:
            return Discard()
        if configuration["logDriver"] != "awslogs":
            raise LogDriverError(
                "CannotStartContainerError: Error response from daemon: logger: no log driver named "
                f"'{configuration['logDriver']}' is registered"
            )
        options = configuration.get("options") or {}
        most = _most(options)
        group = options.get("awslogs-group", "")
        prefix = options.get("awslogs-stream-prefix")
        name = f"{prefix}/{container}/{task_id}" if prefix else runtime_id
        backend: LogsBackend = logs_backends[self._account][options.get("awslogs-region") or self._region]
        with locks.CONTROL:
            try:
                if options.get("awslogs-create-group") == "true" and group not in backend.groups:
                    backend.create_log_group(group, {})
                backend.create_log_stream(group, name)
            except LogsClientError as error:
                raise LogDriverError(
                    "CannotStartContainerError: Error response from daemon: failed to initialize logging driver: "
                    f"failed to create Cloudwatch log stream: {error.message} (log group: {group})"
                ) from error
        stream = Stream(backend, group, name, most)
        with self._lock:
            self._streams.add(stream)
        return stream

    def close(self, stream: Stream | Discard) -> None:
        """Send the last lines of a container that has ended."""
        stream.flush()
        with self._lock:
            self._streams.discard(stream)

    def stop(self) -> None:
        """End the thread that sends; `close` has sent what a container left."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(_FLUSH_SECONDS):
            with self._lock:
                streams = list(self._streams)
            for stream in streams:
                stream.flush()


def _most(options: Mapping[str, str]) -> float:
    """Bytes that may wait by a container's `mode` and `max-buffer-size`: without end where the driver blocks.

    The words are moby's (`daemon/logger/factory.go`, ValidateLogOpts).

    Raises:
        LogDriverError: moby refuses them
    """
    mode, size = options.get("mode", ""), options.get("max-buffer-size")
    if mode not in {"", "blocking", "non-blocking"}:
        raise _invalid(f"logger: logging mode not supported: {mode}")
    # The agent fills in the mode of ECS before Docker looks at the size.
    if size is not None and mode == "blocking":
        raise _invalid("logger: max-buffer-size option is only supported with 'mode=non-blocking'")
    found = _SIZE.fullmatch(size or _BUFFER)
    if found is None:
        raise _invalid(f"error parsing option max-buffer-size: invalid size: '{size}'")
    return float("inf") if mode == "blocking" else float(found[1]) * 1024 ** " kmgtp".index(found[2].lower() or " ")


def _invalid(words: str) -> LogDriverError:
    return LogDriverError(f"CannotCreateContainerError: Error response from daemon: {words}")
