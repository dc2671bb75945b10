"""Make `.venv` from nothing: uv, Python 3.12, the packages of uv.lock.

Runs before anything of ours is installed, so it uses the standard library only and any Python from 3.8 on:
`python3 scripts/bootstrap.py`. A second run sees by a stamp that there is nothing to do.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import pwd
import re
import shutil
import subprocess
import sys
import time
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# MWAA runs 3.12 for every Airflow version that the project supports.
PYTHON = (3, 12)
UV_VERSION = "0.13.9"
# Older ones do not read the dependency groups and the lock file's revision.
UV_OLDEST = (0, 8)
# What our tools need of an interpreter beside its version; some builds lack one or another.
PROBE = "import sys, ssl, sqlite3, ctypes; print('%d.%d' % sys.version_info[:2], sys.executable)"


class BootstrapError(Exception):
    """The set-up cannot go on; its text is the line that a person sees."""


def main() -> int:
    """Make `.venv` unless it is as it should be.

    Returns:
        The exit code: 1 for what somebody must mend, 130 for an interruption.
    """
    cache = os.path.abspath(os.environ.get("WINBATCH_CACHE") or os.path.join(ROOT, ".cache"))
    venv = os.path.join(ROOT, ".venv")
    try:
        if is_current(venv):
            return 0
        os.makedirs(cache, exist_ok=True)
        with _locked(os.path.join(cache, "bootstrap.lock")):
            if not is_current(venv):
                _make(venv, cache)
    except BootstrapError as error:
        _say(str(error))
        return 1
    except OSError as error:
        _say("%s; mend that and call again" % error)
        return 1
    except KeyboardInterrupt:
        _say("interrupted; call again to go on")
        return 130
    return 0


def _make(venv: str, cache: str) -> None:
    started = time.monotonic()
    environ = uv_environment(cache)
    uv = find_uv(environ.get("PATH", ""), cache)
    if uv is None:
        uv = _fetch_uv(cache)
    _say("uv: %s" % uv)
    python = find_python(uv, environ)
    if python is None:
        python = _fetch_python(uv, environ)
    _say("Python %d.%d: %s" % (PYTHON[0], PYTHON[1], python))
    _remove_anothers(venv)
    _say("packages of uv.lock into .venv")
    environ["UV_PROJECT_ENVIRONMENT"] = venv
    command = [uv, "sync", "--frozen", "--compile-bytecode", "--python", python]
    if subprocess.call(command, cwd=ROOT, env=environ, stdout=sys.stderr) != 0:
        raise BootstrapError(
            "uv could not make .venv, its lines above say why; when the package index was out of reach, call again"
        )
    record = {"key": stamp_key(venv), "root": ROOT, "uv": uv, "python": python}
    with open(os.path.join(venv, "winbatch.json"), "w", encoding="utf-8") as file:
        json.dump(record, file)
    _say("ready after %.1f s" % (time.monotonic() - started))


def _remove_anothers(venv: str) -> None:
    """Remove a `.venv` that was made in another folder: its commands name that one, and uv leaves them as they are."""
    record = read_record(venv)
    if not os.path.isdir(venv) or record.get("root") == ROOT:
        return
    # A link without a record leads to where somebody wants it to be.
    if os.path.islink(venv):
        if record:
            os.unlink(venv)
    else:
        _say(".venv was not made in this folder, or not to its end: it is made anew")
        shutil.rmtree(venv)


def stamp_key(venv: str, root: str = ROOT) -> str:
    """What `.venv` was made from: lock, project, folder and interpreter, as one hash."""
    digest = hashlib.sha256()
    for name in ("uv.lock", "pyproject.toml"):
        with open(os.path.join(root, name), "rb") as file:
            digest.update(file.read())
    for text in (root, os.path.realpath(os.path.join(venv, "bin", "python"))):
        digest.update(os.fsencode(text))
    return digest.hexdigest()


def is_current(venv: str, root: str = ROOT) -> bool:
    """Whether `.venv` is what the lock file asks for."""
    if not os.access(os.path.join(venv, "bin", "python"), os.X_OK):
        return False
    return bool(read_record(venv).get("key") == stamp_key(venv, root))


def read_record(venv: str) -> Dict[str, str]:
    """What is known of how `.venv` was made; nothing where it was not made to its end."""
    try:
        with open(os.path.join(venv, "winbatch.json"), encoding="utf-8") as file:
            return dict(json.load(file))
    except (OSError, ValueError, TypeError):
        return {}


def uv_environment(cache: str, environ: Optional[Dict[str, str]] = None) -> Dict[str, str]:
    """The environment for uv: what it fetches stays in the project's cache, unless the user has one of uv's."""
    result = dict(os.environ if environ is None else environ)
    for name in ("VIRTUAL_ENV", "UV_PYTHON", "UV_PROJECT_ENVIRONMENT", "PYTHONHOME", "PYTHONPATH"):
        result.pop(name, None)
    default = os.path.join(
        result.get("XDG_CACHE_HOME") or os.path.join(result.get("HOME", "/nonexistent"), ".cache"), "uv"
    )
    result.setdefault("UV_CACHE_DIR", default if os.path.isdir(default) else os.path.join(cache, "uv"))
    # uv leaves lock files in the temporary folder.
    result["TMPDIR"] = os.path.join(cache, "tmp")
    os.makedirs(result["TMPDIR"], exist_ok=True)
    return result


def find_uv(path: str, cache: str) -> Optional[str]:
    """A uv that runs and is new enough: on the search path, else the one fetched earlier."""
    for folder in [*path.split(os.pathsep), os.path.join(_uv_folder(cache), "bin")]:
        command = os.path.join(folder, "uv")
        # It is run and not only looked for: a version manager's shim may have nothing behind it.
        version = _uv_version(_output([command, "--version"]) if os.access(command, os.X_OK) else None)
        if version is not None and version >= UV_OLDEST:
            return command
    return None


def _uv_version(text: Optional[str]) -> Optional[Tuple[int, ...]]:
    match = re.match(r"uv (\d+)\.(\d+)", text or "")
    return (int(match.group(1)), int(match.group(2))) if match else None


def _uv_folder(cache: str) -> str:
    return os.path.join(cache, "tools", "uv-" + UV_VERSION)


def _fetch_uv(cache: str) -> str:
    target = _uv_folder(cache)
    _say("uv is not there: fetching %s with pip into %s" % (UV_VERSION, target))
    pip = [sys.executable, "-m", "pip"]
    if _output([*pip, "--version"]) is None:
        # Debian's python3 comes without pip, but its ensurepip may be there and makes one in an environment.
        helper = os.path.join(cache, "tools", "pip")
        if subprocess.call([sys.executable, "-m", "venv", helper], stdout=sys.stderr) != 0:
            raise BootstrapError(
                "neither uv nor pip is there: install uv (docs.astral.sh/uv) or pip (apt install python3-pip)"
            )
        pip = [os.path.join(helper, "bin", "python"), "-m", "pip"]
    command = ["install", "--quiet", "--no-cache-dir", "--no-deps", "--upgrade"]
    if subprocess.call([*pip, *command, "--target", target, "uv==" + UV_VERSION], stdout=sys.stderr) != 0:
        raise BootstrapError(
            "uv is missing and pip could not fetch uv==%s; install uv (docs.astral.sh/uv)" % UV_VERSION
        )
    uv = find_uv("", cache)
    if uv is None:
        shutil.rmtree(target, ignore_errors=True)
        raise BootstrapError("the uv that pip fetched does not run here; install uv (docs.astral.sh/uv)")
    return uv


def find_python(uv: str, environ: Dict[str, str]) -> Optional[str]:
    """A Python 3.12 that runs: WINBATCH_PYTHON, else uv's own, on the search path, pyenv's, the system's."""
    asked = environ.get("WINBATCH_PYTHON")
    if asked:
        if not runs(asked):
            raise BootstrapError(
                "WINBATCH_PYTHON=%s is no Python %d.%d with ssl and sqlite3" % (asked, PYTHON[0], PYTHON[1])
            )
        return asked
    known = _output([uv, "python", "find", "--system", "--no-project", "--offline", "%d.%d" % PYTHON], environ)
    candidates = ([known.strip()] if known else []) + python_candidates(environ)
    for command in candidates:
        if runs(command):
            return command
    return None


def python_candidates(environ: Dict[str, str], homes: Optional[Sequence[str]] = None) -> List[str]:
    """Where a Python 3.12 may lie, best first; existing files only, each once."""
    version = "%d.%d" % PYTHON
    path = [folder for folder in environ.get("PATH", "").split(os.pathsep) if folder]
    if homes is None:
        # HOME may be an empty one; the account's own still has its Pythons.
        homes = [environ.get("HOME", "")]
        # A container's user may have no account.
        with contextlib.suppress(KeyError):
            homes.append(pwd.getpwuid(os.getuid()).pw_dir)
    pyenv = [environ.get("PYENV_ROOT", ""), *(os.path.join(home, ".pyenv") for home in homes if home)]
    pyenv += [os.path.dirname(folder) for folder in path if os.path.basename(folder) == "shims"]
    candidates = [os.path.join(folder, name) for folder in path for name in ("python" + version, "python3")]
    for root in pyenv:
        versions = os.path.join(root, "versions")
        names = os.listdir(versions) if root and os.path.isdir(versions) else []
        ours = [name for name in names if re.match(re.escape(version) + r"(\.\d+)?$", name)]
        ours.sort(key=lambda name: [int(part) for part in name.split(".")], reverse=True)
        candidates += [os.path.join(versions, name, "bin", "python" + version) for name in ours]
    system = ["/usr/local/bin", "/usr/bin", "/opt/homebrew/bin", "/opt/python/%s/bin" % version]
    candidates += [os.path.join(folder, "python" + version) for folder in system]
    return list(dict.fromkeys(command for command in candidates if os.access(command, os.X_OK)))


def runs(command: str) -> bool:
    """Whether this is a Python 3.12 with the modules that we need."""
    output = _output([command, "-c", PROBE])
    return output is not None and output.split(" ")[0] == "%d.%d" % PYTHON


def _fetch_python(uv: str, environ: Dict[str, str]) -> str:
    version = "%d.%d" % PYTHON
    _say("Python %s is not there: uv fetches it" % version)
    command = [uv, "python", "install", "--no-bin", version]
    if subprocess.call(command, env=environ, stdout=sys.stderr) == 0:
        found = _output([uv, "python", "find", "--system", "--no-project", "--offline", version], environ)
        if found and runs(found.strip()):
            return found.strip()
    raise BootstrapError(
        "Python %s is not here and uv cannot fetch it: install it (apt install python%s, or pyenv install %s)"
        " or name one in WINBATCH_PYTHON" % (version, version, version)
    )


def _output(command: Sequence[str], environ: Optional[Dict[str, str]] = None) -> Optional[str]:
    """Standard output of a command that ends well within 30 s; None for any other."""
    try:
        done = subprocess.run(
            command,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=30,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="replace")


@contextlib.contextmanager
def _locked(path: str) -> Iterator[None]:
    """Two runs at once: the second waits."""
    with open(path, "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _say(text: str) -> None:
    # Whoever reads it may have gone, which is no reason to stop.
    with contextlib.suppress(OSError):
        print("set-up: " + text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
