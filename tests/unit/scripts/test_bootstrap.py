import json
import os
import stat
import subprocess
import sys

import pytest

from scripts import bootstrap
from scripts.core.settings import ROOT


def script(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def python(path, version="3.12"):
    return script(path, f"echo {version} $0")


def test_pyenvs_pythons_are_found_newest_first_through_root_home_and_search_path(tmp_path):
    for name in ("3.12.1", "3.12.10", "3.11.7", "3.12-dev", "3.12.2"):
        python(tmp_path / "pyenv" / "versions" / name / "bin" / "python3.12")
    shims = tmp_path / "pyenv" / "shims"
    shims.mkdir()
    expected = [
        str(tmp_path / "pyenv" / "versions" / v / "bin" / "python3.12") for v in ("3.12.10", "3.12.2", "3.12.1")
    ]
    for environ, homes in (
        ({"PYENV_ROOT": str(tmp_path / "pyenv")}, []),
        ({"PATH": f"/nonexistent:{shims}"}, []),
    ):
        assert bootstrap.python_candidates(environ, homes)[:3] == expected
    (tmp_path / "pyenv").rename(tmp_path / ".pyenv")
    found = bootstrap.python_candidates({}, [str(tmp_path)])
    assert [command.replace("/.pyenv/", "/pyenv/") for command in found[:3]] == expected


def test_the_search_path_comes_before_pyenv_and_each_is_named_once(tmp_path):
    on_path = python(tmp_path / "bin" / "python3.12")
    pyenv = python(tmp_path / "pyenv" / "versions" / "3.12.1" / "bin" / "python3.12")
    environ = {"PATH": f"{tmp_path / 'bin'}:{tmp_path / 'bin'}", "PYENV_ROOT": str(tmp_path / "pyenv")}
    assert bootstrap.python_candidates(environ, [])[:2] == [on_path, pyenv]


def test_a_shim_with_nothing_behind_it_is_no_python(tmp_path):
    shim = script(tmp_path / "bin" / "python3.12", "echo 'pyenv: python3.12: command not found' >&2; exit 127")
    old = python(tmp_path / "bin" / "python3", "3.11")
    good = python(tmp_path / "pyenv" / "versions" / "3.12.1" / "bin" / "python3.12")
    assert not bootstrap.runs(shim)
    assert not bootstrap.runs(old)
    no_uv_python = script(tmp_path / "uv", "exit 2")
    environ = {"PATH": str(tmp_path / "bin"), "PYENV_ROOT": str(tmp_path / "pyenv"), "HOME": str(tmp_path)}
    assert bootstrap.find_python(no_uv_python, environ) == good


def test_a_named_python_that_is_none_is_refused(tmp_path):
    old = python(tmp_path / "python3.11", "3.11")
    with pytest.raises(bootstrap.BootstrapError, match=r"WINBATCH_PYTHON=.* is no Python 3\.12"):
        bootstrap.find_python("uv", {"WINBATCH_PYTHON": old})


def test_uv_must_run_and_be_new_enough(tmp_path):
    script(tmp_path / "shims" / "uv", "exit 127")
    script(tmp_path / "old" / "uv", "echo 'uv 0.4.30 (Homebrew)'")
    folders = [str(tmp_path / "shims"), str(tmp_path / "old")]
    cache = str(tmp_path / "cache")
    assert bootstrap.find_uv(os.pathsep.join(folders), cache) is None
    fetched = script(tmp_path / "cache" / "tools" / f"uv-{bootstrap.UV_VERSION}" / "bin" / "uv", "echo 'uv 0.13.9'")
    assert bootstrap.find_uv(os.pathsep.join(folders), cache) == fetched
    new = script(tmp_path / "new" / "uv", "echo 'uv 1.2.3'")
    assert bootstrap.find_uv(os.pathsep.join([*folders, str(tmp_path / "new")]), cache) == new


def test_uv_keeps_its_files_in_the_project_unless_the_user_has_a_cache(tmp_path):
    cache = str(tmp_path / "cache")
    fresh = bootstrap.uv_environment(cache, {"HOME": str(tmp_path), "VIRTUAL_ENV": "/x", "PYTHONPATH": "/y"})
    assert fresh == {"HOME": str(tmp_path), "UV_CACHE_DIR": f"{cache}/uv", "TMPDIR": f"{cache}/tmp"}
    assert (tmp_path / "cache" / "tmp").is_dir()
    (tmp_path / ".cache" / "uv").mkdir(parents=True)
    assert bootstrap.uv_environment(cache, {"HOME": str(tmp_path)})["UV_CACHE_DIR"] == str(tmp_path / ".cache" / "uv")
    assert bootstrap.uv_environment(cache, {"HOME": "/none", "UV_CACHE_DIR": "/mine"})["UV_CACHE_DIR"] == "/mine"


def test_an_environment_is_current_until_lock_project_folder_or_interpreter_change(tmp_path):
    root = tmp_path / "root"
    venv = root / ".venv"
    python(venv / "bin" / "python")
    (root / "uv.lock").write_text("1")
    (root / "pyproject.toml").write_text("1")
    assert not bootstrap.is_current(str(venv), str(root))
    record = venv / "winbatch.json"
    record.write_text(json.dumps({"key": bootstrap.stamp_key(str(venv), str(root))}))
    assert bootstrap.is_current(str(venv), str(root))
    (root / "uv.lock").write_text("2")
    assert not bootstrap.is_current(str(venv), str(root))
    (root / "uv.lock").write_text("1")
    assert bootstrap.is_current(str(venv), str(root))
    record.write_text("{")
    assert not bootstrap.is_current(str(venv), str(root))


def test_without_uv_pip_or_python_one_line_says_what_to_install(tmp_path):
    """The real script, in an empty home, with nothing on its search path and an index that nobody serves."""
    checkout = tmp_path / "checkout"
    (checkout / "scripts").mkdir(parents=True)
    for name in ("scripts/bootstrap.py", "uv.lock", "pyproject.toml"):
        (checkout / name).write_bytes((ROOT / name).read_bytes())
    environ = {
        "HOME": str(tmp_path / "home"),
        "PATH": "/nonexistent",
        "PIP_INDEX_URL": "http://127.0.0.1:9/",
        "PIP_RETRIES": "0",
    }
    environ |= {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "scripts/bootstrap.py"], cwd=checkout, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "install uv" in done.stderr.splitlines()[-1]
    assert not (checkout / ".venv").exists()


def test_a_moved_or_renamed_checkout_gets_commands_that_run_there(tmp_path):
    """The real script and Makefile; uv's stand-in leaves what is in `.venv`, as uv does with what is installed."""
    script(
        tmp_path / "bin" / "uv",
        f"""case "$1" in
--version) echo 'uv 0.13.9' ;;
python) echo '{sys.executable}' ;;
sync)
    mkdir -p "$UV_PROJECT_ENVIRONMENT/bin"
    cd "$UV_PROJECT_ENVIRONMENT/bin"
    ln -sf '{sys.executable}' python
    [ -e invoke ] || printf '#!/bin/sh\\nexec "%s/.venv/bin/python" -c "print(1)"\\n' "$(cd ../.. && pwd)" > invoke
    chmod +x invoke ;;
esac""",
    )
    first = tmp_path / "checkout"
    (first / "scripts").mkdir(parents=True)
    for name in ("scripts/bootstrap.py", "uv.lock", "pyproject.toml", "Makefile"):
        (first / name).write_bytes((ROOT / name).read_bytes())
    # Neither a home nor another's Python is in its way.
    environ = {
        "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin",
        "PYTHONHOME": "/nonexistent",
        "PYTHONPATH": "/nonexistent",
    }

    def status(checkout):
        command = ["make", "status", f"PYTHON={sys.executable}"]
        done = subprocess.run(command, cwd=checkout, env=environ, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr.count("packages of uv.lock")

    assert status(first) == (0, "1\n", 1)
    assert status(first) == (0, "1\n", 0)
    second = first.rename(tmp_path / "50% \u00fc ' # &")
    assert status(second) == (0, "1\n", 1)
    assert status(second) == (0, "1\n", 0)
    # A copy beside it is one more checkout.
    copied = tmp_path / "copy"
    subprocess.run(["cp", "-a", second, copied], check=True)
    assert status(copied) == (0, "1\n", 1)
    subprocess.run(["rm", "-r", second], check=True)
    assert status(copied) == (0, "1\n", 0)


def test_a_user_without_an_account_has_pythons_all_the_same(tmp_path, monkeypatch):
    on_path = python(tmp_path / "bin" / "python3.12")
    with monkeypatch.context() as patched:
        patched.setattr(os, "getuid", lambda: 2**31 - 7)
        found = bootstrap.python_candidates({"PATH": str(tmp_path / "bin")})
    assert found[0] == on_path


@pytest.mark.parametrize("word", ["a b", "it's", "$HOME `id` # & ; %", "ü", '"'])
def test_makes_words_reach_invoke_as_they_are(tmp_path, word):
    (tmp_path / "Makefile").write_bytes((ROOT / "Makefile").read_bytes())
    script(tmp_path / ".venv" / "bin" / "invoke", """printf '%s\\n' "$@" """)
    for verb, name, option in (("plan", "OUT", "--out"), ("cancel", "RUN", "cancel"), ("comment", "ABOUT", "--about")):
        given = f"{name}={word.replace('$', '$$')}"
        command = ["make", verb, "PYTHON=true", given]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        lines = done.stdout.splitlines()
        assert lines[lines.index(option) + 1] == word
