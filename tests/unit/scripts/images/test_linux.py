import hashlib
import importlib.util
import io
import json
import sys
import tarfile
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.core.errors import ImageError
from scripts.images.linux import assemble, build, pack, repository_name


def modes(layer):
    """The mode of each file of a layer."""
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        return {entry.name: entry.mode for entry in tar if entry.isfile()}


def mine(settings, root, files=()):
    """A checkout with one workload, whose interpreter is this one."""
    (root / "dags" / "winbatch").mkdir(parents=True)
    folder = root / "images" / "mine"
    (folder / "files").mkdir(parents=True)
    (folder / "workload.toml").write_text("")
    for name, content in dict(files).items():
        (folder / "files" / name).write_bytes(content)
    python = settings.cache / "workloads" / "worker" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    return replace(settings, root=root)


NAMES = st.lists(st.sampled_from("ab"), min_size=1, max_size=3).map(lambda parts: "app/" + "/d".join(parts) + ".py")


@given(st.dictionaries(NAMES, st.binary(max_size=20)))
def test_a_layer_holds_the_files_and_is_the_same_bytes_for_the_same_files(files):
    layer = pack(files)
    assert layer == pack(dict(reversed(files.items())))
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        entries = tar.getmembers()
        assert [entry.name for entry in entries] == sorted(entry.name for entry in entries)
        assert {entry.name: tar.extractfile(entry).read() for entry in entries if entry.isfile()} == files
        assert {(entry.mtime, entry.uid, entry.gid, entry.uname) for entry in entries} <= {(0, 0, 0, "")}


@pytest.mark.parametrize(
    ("name", "content", "executable"),
    [
        ("app/solve", b"\x7fELF\2", True),
        ("app/Solve.EXE", b"MZ\x90", True),
        ("app/solve.sh", b"#!/bin/sh\n", True),
        ("app/tables.exe", b"no program", False),
        ("app/solve.dll", b"MZ\x90", False),
        ("app/data.bin", b"\x7fEL", False),
        ("app/empty", b"", False),
    ],
)
def test_what_is_a_program_by_its_content_may_be_started(name, content, executable):
    assert modes(pack({name: content}))[name] == (0o755 if executable else 0o644)


@pytest.mark.parametrize(("mode", "packed"), [(0o700, 0o755), (0o775, 0o755), (0o600, 0o644), (0o666, 0o644)])
def test_an_execute_bit_of_the_checkout_reaches_the_image(settings, tmp_path, mode, packed):
    settings = mine(settings, tmp_path, {"solve.m": b"1;"})
    (tmp_path / "images" / "mine" / "files" / "solve.m").chmod(mode)
    assert modes(build(settings, "mine").layer)["app/solve.m"] == packed


def test_a_program_of_ones_own_is_found_behind_those_of_the_image(settings, tmp_path):
    own = replace(mine(settings, tmp_path), local_path=(tmp_path / "a", tmp_path / "b"))
    variables = json.loads(build(own, "mine").config)["config"]["Env"]
    (path,) = [value.removeprefix("PATH=") for value in variables if value.startswith("PATH=")]
    interpreter = str(settings.cache / "workloads" / "worker" / "bin")
    assert path.split(":")[:3] == [interpreter, str(tmp_path / "a"), str(tmp_path / "b")]


def test_an_image_says_where_its_bytes_are():
    image = assemble({"app/x.py": b"1"}, {"B": "2", "A": "1"})
    manifest = json.loads(image.manifest)
    config = json.loads(image.config)
    layer = "sha256:" + hashlib.sha256(image.layer).hexdigest()
    assert manifest["layers"][0]["digest"] == layer == config["rootfs"]["diff_ids"][0]
    assert image.blobs[manifest["config"]["digest"]] == image.config
    assert image.digest == "sha256:" + hashlib.sha256(image.manifest).hexdigest()
    assert config["config"] == {
        "Entrypoint": ["python", "-m", "winbatch.worker"],
        "Env": ["A=1", "B=2"],
        "WorkingDir": "/app",
    }


def test_one_byte_more_is_another_image():
    assert assemble({"app/x.py": b"1"}, {}).digest != assemble({"app/x.py": b"12"}, {}).digest


def test_the_sample_workload_has_its_code_and_the_worker_and_nothing_else(settings):
    with pytest.raises(ImageError, match="no interpreter for workload ber yet: invoke setup"):
        build(settings, "ber")
    python = settings.cache / "workloads" / "ber" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    with tarfile.open(fileobj=io.BytesIO(build(settings, "ber").layer)) as tar:
        names = tar.getnames()
    assert {"app/ber/simulate.py", "app/ber/aggregate.py", "app/winbatch/worker.py"} <= set(names)
    assert {name.split("/")[1] for name in names if "/" in name} == {"ber", "winbatch"}
    assert not [name for name in names if "test" in name]


def test_each_module_is_compiled_so_that_no_container_does_it_again():
    files = {
        "app/x.py": b"X = {'a', 'b', 'c'}",
        "app/deep/y.py": b"from x import X",
        "app/broken.py": b"def",
        "app/z": b"",
    }
    image = assemble(files, {})
    assert image == assemble(dict(reversed(files.items())), {}), "the same bytes each time"
    with tarfile.open(fileobj=io.BytesIO(image.layer)) as tar:
        made = {name: tar.extractfile(name).read() for name in tar.getnames() if name.endswith(".pyc")}
        assert set(files) <= set(tar.getnames())
    tag = sys.implementation.cache_tag
    assert set(made) == {f"app/__pycache__/x.{tag}.pyc", f"app/deep/__pycache__/y.{tag}.pyc"}
    # Python's own words: by the hash of its source, which is not looked at.
    assert {content[:8] for content in made.values()} == {importlib.util.MAGIC_NUMBER + b"\1\0\0\0"}


def test_an_unknown_workload_names_the_known_ones(settings):
    with pytest.raises(ImageError, match=r"unknown workload 'nothing'; there are ber"):
        build(settings, "nothing")


def test_a_repositorys_name_is_its_url_without_the_registry():
    assert repository_name("1.dkr.ecr.eu-central-1.amazonaws.com/winbatch-local/ber") == "winbatch-local/ber"
