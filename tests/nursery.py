"""A process that has imported a worker already, and becomes one by a fork whenever one is started (Linux).

To start Python and to import boto3 takes more processor time than all else that most workers of a test do. One from
here is a process of its own all the same, with its environment, folder, standard streams, signals at their defaults,
and exit code; its command line alone is the nursery's. What a start itself must do, tests show by `python -m`.
"""

import functools
import gc
import json
import os
import runpy
import select
import signal
import site
import socket
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path

_LONGEST = 1 << 17  # of an environment, bytes
_CHUNK = 1 << 16
_MODULE = "winbatch.worker"


class Nursery:
    """Starts workers."""

    def __init__(self):
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__], stdin=theirs, stdout=subprocess.DEVNULL, env=_plain(os.environ)
            )

    def start(self, *, env, cwd=None, start_new_session=False):
        """A worker, as `subprocess.Popen` has it, with pipes of text for what it says."""
        order = {"env": env, "cwd": str(cwd or ""), "session": start_new_session}
        pipes = [os.pipe() for _ in range(3)]
        try:
            socket.send_fds(self._control, [json.dumps(order).encode()], [theirs for _, theirs in pipes])
        finally:
            for _, theirs in pipes:
                os.close(theirs)
        return Started(*(ours for ours, _ in pipes))

    def stop(self):
        """End it, and what it has started."""
        self._control.close()
        self._process.wait()


class Started:
    """What tests use of a `subprocess.Popen`."""

    def __init__(self, out, err, told):
        self.stdout, self.stderr = open(out, encoding="utf-8"), open(err, encoding="utf-8")  # noqa: PTH123, SIM115
        self._told = open(told, "rb", buffering=0)  # noqa: PTH123, SIM115
        self.returncode = None
        self.pid = int(self._told.readline())

    def wait(self, timeout=None):
        if self.returncode is None:
            if not select.select([self._told], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(_MODULE, timeout)
            self.returncode = int(self._told.readline())
            self._told.close()
        return self.returncode

    def poll(self):
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout=None):
        deadline = None if timeout is None else time.monotonic() + timeout
        said = {self.stdout: b"", self.stderr: b""}
        waiting = set(said)
        while waiting:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            ready, _, _ = select.select(list(waiting), [], [], left)
            if not ready:
                raise subprocess.TimeoutExpired(_MODULE, timeout)
            for stream in ready:
                chunk = os.read(stream.fileno(), _CHUNK)
                said[stream] += chunk
                if not chunk:
                    waiting.discard(stream)
        self.wait(None if deadline is None else max(0.0, deadline - time.monotonic()))
        self.stdout.close()
        self.stderr.close()
        return tuple(text.decode() for text in said.values())


def _plain(environ):
    return {name: value for name, value in environ.items() if not name.startswith(("AWS_", "ECS_", "WINBATCH_"))}


def _main():
    _import()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a test's Ctrl-C is for the worker; ours is the end of the socket
    control = socket.socket(fileno=os.dup(0))
    wake, waking = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(waking, False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
    told = {}
    while True:
        ready, _, _ = select.select([control, wake], [], [])
        if wake in ready:
            os.read(wake, _CHUNK)
            _tell_ends(told)
        if control in ready:
            message, pipes, _, _ = socket.recv_fds(control, _LONGEST, 3)
            if not message:
                break
            pid = os.fork()
            if not pid:
                for number in (wake, waking, *told.values()):
                    os.close(number)
                control.close()
                _become(json.loads(message), *pipes)
            for number in pipes[:2]:
                os.close(number)
            told[pid] = pipes[2]
            os.write(told[pid], b"%d\n" % pid)
    for pid in told:
        os.kill(pid, signal.SIGKILL)


def _import():
    """Do what is the same for all of them: imports, and the reading of what botocore knows of S3."""
    assert threading.active_count() == 1
    from winbatch.working import client  # noqa: PLC0415

    client._Loader = functools.cache(client._Loader)
    os.environ |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    client.connect(region="eu-central-1", connections=1).close()
    runpy.run_module(_MODULE)
    gc.collect()
    gc.freeze()


def _tell_ends(told):
    while told:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            break
        with open(told.pop(pid), "wb") as pipe:  # noqa: PTH123
            try:
                pipe.write(b"%d\n" % os.waitstatus_to_exitcode(status))
                pipe.flush()
            except BrokenPipeError:
                pass


def _become(order, out, err, told):
    """Be a worker."""
    try:
        os.close(told)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for number, place in ((nothing, 0), (out, 1), (err, 2)):
            os.dup2(number, place)
            os.close(number)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if order["session"]:
            os.setsid()
        os.environ.clear()
        os.environ |= order["env"]
        if order["cwd"]:
            os.chdir(order["cwd"])
        sys.dont_write_bytecode = True
        sys.path[:1] = [str(Path.cwd()), *os.environ["PYTHONPATH"].split(os.pathsep)]
        sys.modules.pop("sitecustomize", None)
        site.execsitecustomize()
        runpy.run_module(_MODULE, run_name="__main__", alter_sys=True)
    except BaseException:  # noqa: BLE001 - as an interpreter would
        traceback.print_exc()
    finally:
        os._exit(1)


if __name__ == "__main__":
    _main()
