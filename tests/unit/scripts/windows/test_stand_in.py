"""Windows images for this machine: what stands in for Microsoft's base and for Python, and that none of it leaves."""

import dataclasses
import json
import subprocess
import zipfile

import pytest

from scripts.core.console import Step, Steps
from scripts.core.errors import ImageError, PreflightError
from scripts.core.settings import Settings
from scripts.images import wine
from scripts.tools.debian import MINGW, WINE
from scripts.windows import image, stand_in
from scripts.windows.registry import Repository

from .conftest import DOCKERFILE, write


@pytest.fixture
def local(checkout, tmp_path):
    """The local environment of a checkout whose base is at a registry that nobody can reach."""
    text = DOCKERFILE.format(
        zeros="0" * 64, base="unreachable.invalid/windows/servercore:x", digest="sha256:" + "1" * 64
    )
    (checkout / "images" / "mine" / "Dockerfile").write_text(text)
    environ = {"WINBATCH_STATE": str(tmp_path / "state"), "WINBATCH_CACHE": str(tmp_path / "cache")}
    return Settings.load("local", environ=environ | {"WINBATCH_WINDOWS": "wine"}, root=checkout)


def config(built):
    manifest = json.loads(built.blob(built.digest).read_bytes())
    return manifest, json.loads(built.blob(manifest["config"]["digest"]).read_bytes())


def test_an_image_for_this_machine_says_what_stands_in_and_has_its_own_layers_only(local):
    built = image.build(local, "mine", Steps())
    manifest, found = config(built)
    assert found["config"]["Labels"][stand_in.LABEL] == built.stand_ins == "base"
    assert (found["os"], found["os.version"]) == ("windows", "10.0.20348.0")
    assert len(manifest["layers"]) == len(found["rootfs"]["diff_ids"]) == len(found["history"]) == 3
    assert found["config"]["Entrypoint"][0] == "C:\\python\\python.exe"


def test_an_image_with_a_stand_in_goes_to_the_local_emulator_and_nowhere_else(local, aws):
    built = image.build(local, "mine", Steps())
    with Repository(f"{aws}/winbatch-local/refused", "Basic eDp4") as other:
        with pytest.raises(
            ImageError, match=r"an image with stand-ins \(base\) stays on the machine that made it, and "
        ):
            image.push(built, other, Step("push"))
        for document in (built.digest, built.attestations):
            assert not other.has("manifests", document)
        assert not other.has("blobs", json.loads(built.blob(built.digest).read_bytes())["config"]["digest"])
    with Repository(f"{aws}/winbatch-local/mine", "Basic eDp4", emulated=True) as emulators:
        assert image.push(built, emulators, Step("push"))
        assert emulators.has("manifests", built.digest)


def test_it_is_the_same_image_in_every_checkout_of_the_same_files(local):
    before = image.build(local, "mine", Steps())
    for words in (["init", "-q"], ["add", "-A"], ["-c", "user.name=A", "-c", "user.email=a@b", "commit", "-qm", "One"]):
        subprocess.run(["git", *words], cwd=local.root, check=True, capture_output=True)
    assert image.build(local, "mine", Steps()) == before
    assert "org.opencontainers.image.revision" not in config(before)[1]["config"]["Labels"]


def test_images_that_are_not_in_use_any_more_go_when_another_is_built(local, monkeypatch):
    first = image.build(local, "mine", Steps())
    (local.root / "images" / "mine" / "files" / "more").write_text("x")
    second = image.build(local, "mine", Steps())
    assert first.folder.is_dir()
    monkeypatch.setattr(image, "_IN_USE_SECONDS", -1.0)
    assert image.build(local, "mine", Steps()) == second
    assert [path.name for path in second.folder.parent.iterdir()] == [second.folder.name]


def test_without_python_for_windows_and_without_a_compiler_a_line_says_what_to_install(local, site, monkeypatch):
    write(local.root, "images/python.toml", url=f"{site[1]}/gone.zip", sha256="0" * 64)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ImageError, match=rf"gone\.zip cannot be fetched .*: apt-get install {MINGW.package}$"):
        stand_in.python(local, lambda _: None)


@pytest.mark.parametrize("missing", [(WINE,), (MINGW,), (WINE, MINGW)])
def test_a_machine_without_wine_or_mingw_is_told_how_to_get_them(local, tmp_path, monkeypatch, missing):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(wine, "PROGRAMS", [dataclasses.replace(program, places=()) for program in wine.PROGRAMS])
    for program in {WINE, MINGW} - set(missing):
        (tmp_path / program.name).touch(0o755)
    packages = " ".join(program.package for program in (WINE, MINGW) if program in missing)
    with pytest.raises(PreflightError, match=rf"^WINBATCH_WINDOWS=wine: .* yet: apt-get install {packages}$"):
        wine.require()
    assert wine.install(local, lambda _: None).endswith(f"(apt-get install {packages.split()[0]})")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A stand-in for Python, made of what PyPI has; its archive."""
    if MINGW.find() is None:
        pytest.skip(MINGW.look())
    folder = tmp_path_factory.mktemp("stand-in")
    root = folder / "checkout"
    (root / "images").mkdir(parents=True)
    write(root, "images/python.toml", url="https://unreachable.invalid/python.zip", sha256="0" * 64)
    (root / "terraform" / "environments").mkdir(parents=True)
    (root / "terraform" / "environments" / "local.tfvars").touch()
    settings = Settings.load("local", environ={"WINBATCH_CACHE": str(folder / "cache")}, root=root)
    return settings, stand_in.python(settings, lambda _: None)


@pytest.mark.slow
def test_the_stand_in_is_laid_out_as_the_embeddable_python_says_what_it_is_and_is_made_once(made):
    settings, archive = made
    assert stand_in.is_python(archive)
    file = settings.cache / "archives" / f"{archive.sha256[:16]}-python-3.12.10-stand-in.zip"
    with zipfile.ZipFile(file) as opened:
        names = set(opened.namelist())
        assert b"not CPython's release" in opened.read("STAND-IN.txt")
        assert {opened.read(name)[:2] for name in ("python.exe", "python3.dll", "python312.dll")} == {b"MZ"}
    assert {"python312._pth", "python312.zip", "vcruntime140.dll", "_ssl.pyd", "libffi-8.dll"} <= names
    assert not [name for name in names if name.lower().startswith(("api-ms", "tcl", "tk"))]
    written = file.stat().st_mtime_ns
    assert stand_in.python(settings, lambda _: None) == archive
    assert file.stat().st_mtime_ns == written
