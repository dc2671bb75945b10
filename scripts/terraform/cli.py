"""Terraform through python-terraform: the one module that knows its traps.

What the library does not do is done here: output is streamed line by line, commands have a time-out, an interrupt
reaches Terraform once (twice makes it drop the state), failures are exceptions with evidence, and a typo in a method's
name is an error instead of a Terraform command.
"""

import json
import re
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NoReturn

import python_terraform
from python_terraform import IsFlagged

from scripts.core.errors import StateLockedError, TerraformError

# From the interrupt to the kill, s: Terraform waits for what is under way and saves its state.
GRACE = 180.0

Event = Mapping[str, Any]
OnEvent = Callable[[Event], None]


class Terraform(python_terraform.Terraform):  # type: ignore[misc]  # the library has no types
    """Terraform in one working folder, with one process environment.

    Args:
        binary: the command.
        working_dir: the root module.
        environ: the whole process environment of every command.
        log: file that gets every command and its output; None: none is kept.
        keep_open: file descriptors that each command inherits, so that a lock outlives us as long as a command does.
    """

    def __init__(
        self,
        binary: Path,
        working_dir: Path,
        environ: Mapping[str, str],
        *,
        log: Path | None = None,
        keep_open: Sequence[int] = (),
    ) -> None:
        super().__init__(working_dir=str(working_dir), terraform_bin_path=str(binary))
        # An empty dictionary would be written to a temporary file and named in every command.
        self.variables = None
        self._environ = dict(environ)
        self._log = log
        self._keep_open = tuple(keep_open)

    def __getattr__(self, item: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} has no {item!r}")

    def version(self) -> str:
        """Terraform's version."""
        return str(json.loads(self._checked("version", json=IsFlagged))["terraform_version"])

    def init(self, backend_config: Path | Sequence[str] | None, *, migrate: bool = False) -> None:
        """Initialise the folder.

        Args:
            backend_config: a file, or options of the command line; None: no backend.
            migrate: move the state from the backend that was initialised before.
        """
        options: dict[str, Any] = {"timeout": 600, "input": False, "no_color": IsFlagged, "lockfile": "readonly"}
        if backend_config is None:
            self._checked("init", backend=False, **options)
            return
        config = [str(backend_config)] if isinstance(backend_config, Path) else list(backend_config)
        how = {"migrate_state": IsFlagged, "force_copy": IsFlagged} if migrate else {"reconfigure": IsFlagged}
        self._checked("init", backend_config=config, **how, **options)

    def addresses(self) -> list[str]:
        """What the state knows, one address a resource."""
        return self._checked("state list").split("\n")[:-1]

    def plan(
        self,
        out: Path,
        *,
        var_files: Sequence[Path],
        targets: Iterable[str] = (),
        on_event: OnEvent | None = None,
    ) -> bool:
        """Plan into a file, for all or for these addresses; whether there is anything to do (`show` says what)."""
        code, _ = self._streamed(
            "plan",
            timeout=1800,
            ok=(0, 2),
            on_event=on_event,
            input=False,
            detailed_exitcode=IsFlagged,
            out=str(out),
            target=list(targets),
            var_file=[str(file) for file in var_files],
            lock_timeout="20s",
        )
        return code != 0

    def show(self, plan: Path) -> dict[str, Any]:
        """A saved plan in Terraform's JSON (`scripts.terraform.plan_summary` reads it)."""
        document: dict[str, Any] = json.loads(self._checked("show", str(plan), json=IsFlagged))
        return document

    def apply(self, plan: Path, *, on_event: OnEvent | None = None) -> list[Event]:
        """Apply a saved plan."""
        options: dict[str, Any] = {"timeout": 3 * 3600, "input": False, "lock_timeout": "20s"}
        return self._streamed("apply", str(plan), on_event=on_event, **options)[1]

    def destroy(self, *, var_files: Sequence[Path], on_event: OnEvent | None = None) -> list[Event]:
        """Destroy everything without asking."""
        return self._streamed(
            "destroy",
            timeout=3 * 3600,
            on_event=on_event,
            input=False,
            auto_approve=IsFlagged,
            var_file=[str(file) for file in var_files],
            lock_timeout="20s",
        )[1]

    def untaint(self, address: str) -> None:
        """Let something be taken for whole whose making Terraform has not seen to end."""
        self._checked("untaint", address, lock_timeout="20s")

    def push_state(self, file: Path) -> None:
        """Make a file the state; refused when the state is another's or has moved on."""
        self._checked("state push", str(file), lock_timeout="20s")

    def outputs(self) -> dict[str, Any]:
        """Every output's value, by name; empty where nothing was applied."""
        values = json.loads(self._checked("output", json=IsFlagged))
        return {name: output["value"] for name, output in values.items()}

    def force_unlock(self, lock_id: str) -> None:
        """Take a lock away from somebody who is known to be gone."""
        self._checked("force-unlock", lock_id, force=IsFlagged)

    def cmd(self, cmd: str, *args: str, **options: Any) -> tuple[int, str, str]:
        """Run a command; `on_line` gets each line of its standard output, `timeout` is in s.

        Returns:
            Exit code, standard output, standard error.

        Raises:
            TerraformError: it took longer than `timeout`.
            KeyboardInterrupt: passed on after Terraform has stopped what it was at.
        """
        on_line: Callable[[str], None] | None = options.pop("on_line", None)
        timeout: float = options.pop("timeout", 300)
        command: list[str] = self.generate_cmd_string(cmd, *args, **options)
        out: list[str] = []
        err: list[str] = []
        late = threading.Event()
        drain = threading.Thread(target=lambda: _drain(process.stderr, err), daemon=True)
        timer = threading.Timer(timeout, lambda: _stop(process, late))
        timer.daemon = True
        interrupt = _HeldBack()
        try:
            process = subprocess.Popen(
                command,
                cwd=self.working_dir,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                pass_fds=self._keep_open,
                # A group of its own: the terminal's Ctrl-C reaches only us, and we pass it on once.
                process_group=0,
            )
        except BaseException:
            interrupt.release()
            raise
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            drain.start()
            interrupt.release()
            timer.start()
            _read(process.stdout, out, on_line)
            process.wait()
        except BaseException:
            # Its output is read on: with a full pipe it could neither end nor save its state.
            rest = threading.Thread(target=_read, args=(process.stdout, out, None), daemon=True)
            rest.start()
            try:
                _stop(process)
            finally:
                rest.join()
            raise
        finally:
            timer.cancel()
            if drain.ident is not None:
                drain.join()
            process.stdout.close()
            process.stderr.close()
            self._note(command, process.returncode, out, err)
        if late.is_set():
            raise TerraformError(
                f"terraform {cmd} did not end within {timeout:.0f} s and was stopped; call again to go on",
                command=command,
                exit_code=process.returncode,
                tail=(out + err)[-20:],
            )
        return process.returncode, "".join(out), "".join(err)

    def _checked(self, cmd: str, *args: str, **options: Any) -> str:
        code, out, err = self.cmd(cmd, *args, **options)
        if code != 0:
            raise _failure(["terraform", cmd, *args], code, out, err, log=self._log)
        return out

    def _streamed(
        self, cmd: str, *args: str, on_event: OnEvent | None, ok: Sequence[int] = (0,), **options: Any
    ) -> tuple[int, list[Event]]:
        events: list[Event] = []

        def on_line(text: str) -> None:
            event = _event(text)
            if event is not None:
                events.append(event)
                if on_event is not None:
                    on_event(event)

        code, out, err = self.cmd(cmd, *args, on_line=on_line, json=IsFlagged, **options)
        if code not in ok:
            raise _failure(["terraform", cmd, *args], code, out, err, events=events, log=self._log)
        return code, events

    def _note(self, command: Sequence[str], code: int | None, out: Sequence[str], err: Sequence[str]) -> None:
        if self._log is None:
            return
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("a", encoding="utf-8") as file:
            file.write(f"$ {' '.join(command)}\n")
            file.writelines(out)
            file.writelines(err)
            file.write(f"exit code {code}\n\n")


def problems(events: Sequence[Event]) -> list[str]:
    """Terraform's errors among its events, a line each: what, where."""
    lines = []
    for event in events:
        diagnostic = event.get("diagnostic", {})
        if diagnostic.get("severity") != "error":
            continue
        detail = " ".join(str(diagnostic.get("detail", "")).split())
        place = diagnostic.get("address", "")
        source = diagnostic.get("range")
        if source:
            place = f"{place} {source['filename']}:{source['start']['line']}".strip()
        text = diagnostic["summary"] + (f": {detail}" if detail else "")
        lines.append(f"{_shorten(text)}{f' ({place})' if place else ''}")
    return lines


def _failure(
    command: Sequence[str],
    code: int,
    out: str,
    err: str,
    *,
    events: Sequence[Event] = (),
    log: Path | None = None,
) -> TerraformError:
    found = problems(events) or _plain_problems(err) or _plain_problems(out)
    tail = (out + err).splitlines()[-20:]
    details = "\n".join(
        [*(str(event.get("diagnostic", {}).get("detail", "")) for event in events), re.sub("[│╷╵]", "", err)]
    )
    lock = re.search(r"^\s*ID:\s+(\S+)", details, re.MULTILINE)
    if lock and any("acquiring the state lock" in problem for problem in found):
        who = re.search(r"^\s*Who:\s+(\S+)", details, re.MULTILINE)
        when = re.search(r"^\s*Created:\s+(.+)$", details, re.MULTILINE)
        error = StateLockedError(
            f"the Terraform state is locked by {who[1] if who else 'somebody'} since"
            f" {when[1].strip() if when else '?'}: wait for that run to end; if it is gone for good:"
            f" invoke unlock --id {lock[1]}",
            command=command,
            exit_code=code,
            problems=found,
            tail=tail,
        )
        error.lock_id = lock[1]
        return error
    what = found[0] if found else (tail[-1] if tail else "no output")
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    where = f"; all of it: {log}" if log else ""
    return TerraformError(
        f"{' '.join(command[:2])} failed with exit code {code}: {what}{more}{where}",
        command=command,
        exit_code=code,
        problems=found,
        tail=tail,
    )


def _plain_problems(text: str) -> list[str]:
    """Errors from the output that people read: `Error: …`, then an empty line, then the detail."""
    lines = [re.sub(r"^[│╷╵]\s?", "", line).rstrip() for line in text.splitlines()]
    found = []
    for number, line in enumerate(lines):
        if line.startswith("Error: "):
            rest = [part.strip() for part in lines[number + 1 : number + 8] if part.strip()]
            found.append(_shorten(" ".join([line.removeprefix("Error: ").rstrip(":") + ":", *rest])))
    return found


def _shorten(text: str, most: int = 400) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _event(text: str) -> Event | None:
    try:
        event = json.loads(text)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def _read(stream: IO[str], lines: list[str], on_line: Callable[[str], None] | None) -> None:
    for text in stream:
        lines.append(text)
        if on_line is not None:
            on_line(text)


class _HeldBack:
    """An interrupt that waits from here on until `release`, since a process that is being started cannot be stopped."""

    def __init__(self) -> None:
        self._came = False
        # Python takes signals in its main thread only.
        self._main = threading.current_thread() is threading.main_thread()
        if self._main:
            self._before = signal.signal(signal.SIGINT, self._note)

    def release(self) -> None:
        if not self._main:
            return
        signal.signal(signal.SIGINT, self._before)
        if self._came and callable(self._before):
            self._before(signal.SIGINT, None)

    def _note(self, *_: object) -> None:
        self._came = True


def _drain(stream: IO[str], lines: list[str]) -> None:
    lines.extend(deque(stream, maxlen=1000))


def _stop(process: subprocess.Popen[str], late: threading.Event | None = None) -> None:
    """Interrupt once, wait, kill; a second interrupt of ours kills at once."""
    if late is not None:
        late.set()
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGINT)
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
    except BaseException:
        process.kill()
        raise
    finally:
        process.wait()
