"""An emulator of a test's own, as a process."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

from emulator.mwaa.database import free_port
from tests.waiting import PATIENCE, wait_for

ROOT = Path(__file__).parents[1]


class Emulator:
    """A child process `python -m emulator serve` that answers.

    Args:
        folder: for its state, its log, and its cache unless an argument names one.
        arguments: of its command line.
        environ: its process environment; None: ours.
        under: words before its command.
    """

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        environ: Mapping[str, str] | None = None,
        under: Sequence[str] = (),
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.state = folder / "state"
        self.log = folder / "emulator.log"
        command = [*under, sys.executable, "-m", "emulator", "serve", "--port", str(self.port)]
        command += ["--state", str(self.state), "--cache", str(folder / "cache"), *arguments]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=log, stderr=log)
        wait_for(lambda: self._ready() or self.process.poll() is not None)
        assert self.process.poll() is None, self.log.read_text()
        with urlopen(f"{self.endpoint}/_emulator/health") as answer:
            assert answer.status == 200

    def _ready(self) -> bool:
        # An emulator that died may have left its own file.
        ready = self.state / "ready.json"
        return ready.exists() and json.loads(ready.read_text())["pid"] == self.process.pid

    def evidence(self) -> str:
        """The end of its log."""
        return self.log.read_text()[-4000:]

    def stop(self) -> int:
        """Its exit code, once all that it started has stopped."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


@contextmanager
def emulating(folder: Path, *arguments: str, environ: Mapping[str, str] | None = None) -> Iterator[Emulator]:
    """An emulator that must end well, with its log where it does not."""
    emulator = Emulator(folder, *arguments, environ=environ)
    try:
        yield emulator
    finally:
        code = emulator.stop()
    assert code == 0, emulator.log.read_text()
