"""The parts of a Windows image that need no registry."""

import base64
import io
import os
import re
import struct
import subprocess
import tarfile

import pytest

from scripts.core.errors import ImageError
from scripts.core.settings import ROOT, WINDOWS_VERSION, Settings
from scripts.windows import dockerfile, layers, sources, staging

from .conftest import DOCKERFILE, zipped

# BuildKit gives this one to each file (util/winlayers): O:BAG:SYD:(A;;FA;;;BA)(A;;FA;;;SY)(A;;0x1200a9;;;BU).
OF_A_FILE = (
    "AQAEgBQAAAAkAAAAAAAAADAAAAABAgAAAAAABSAAAAAgAgAAAQEAAAAAAAUSAAAAAgBMAAMAAAAAABgA/wEfAAECAAAAAAAFIAAAACACAAAAABQA"
    "/wEfAAEBAAAAAAAFEgAAAAAAGACpABIAAQIAAAAAAAUgAAAAIQIAAA=="
)


def layer(folder, tmp_path):
    written = layers.write(folder, "app", tmp_path / "blobs")
    with tarfile.open(tmp_path / "blobs" / written.digest.removeprefix("sha256:")) as tar:
        return written, {entry.name: entry for entry in tar}


def test_a_layer_is_laid_out_as_windows_wants_it(tmp_path):
    folder = tmp_path / "source"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "a.txt").write_bytes(b"12345")
    (folder / ("long" * 40)).touch()
    os.utime(folder / "deep" / "a.txt", (5, 5))
    written, entries = layer(folder, tmp_path)
    below = ["Files/app", "Files/app/deep", "Files/app/deep/a.txt", "Files/app/" + "long" * 40]
    assert list(entries) == ["Hives", "Files", *below]
    assert (written.files, written.unpacked) == (2, 5)
    for name, entry in entries.items():
        assert entry.mtime == staging.EPOCH
        assert entry.pax_headers["MSWINDOWS.fileattr"] == ("16" if entry.isdir() else "32")
        assert entry.pax_headers["LIBARCHIVE.creationtime"] == "315532800.0"
        assert ("MSWINDOWS.rawsd" in entry.pax_headers) == (name not in {"Hives", "Files"})
    assert entries["Files/app/deep/a.txt"].pax_headers["MSWINDOWS.rawsd"] == OF_A_FILE
    assert entries["Files/app/deep/a.txt"].size == 5


def test_users_may_read_folders_and_what_comes_below_but_not_write(tmp_path):
    (tmp_path / "source").mkdir()
    _, entries = layer(tmp_path / "source", tmp_path)
    raw = base64.b64decode(entries["Files/app"].pax_headers["MSWINDOWS.rawsd"])
    control, owner, group, sacl, dacl = struct.unpack_from("<HIIII", raw, 2)
    assert (control, sacl) == (0x8004, 0)
    assert raw[owner:group].endswith(struct.pack("<II", 32, 544))
    count = struct.unpack_from("<H", raw, dacl + 4)[0]
    position, rights = dacl + 8, {}
    for _ in range(count):
        kind, flags, size, mask = struct.unpack_from("<BBHI", raw, position)
        assert (kind, flags) == (0, 3)
        rights[struct.unpack_from("<I", raw, position + size - 4)[0]] = mask
        position += size
    assert position == len(raw)
    assert rights == {544: 0x1F01FF, 18: 0x1F01FF, 545: 0x1200A9}


def test_the_same_files_are_the_same_bytes_whoever_laid_them_out(tmp_path):
    digests = set()
    for turn, names in enumerate(("ab", "ba")):
        folder = tmp_path / str(turn)
        folder.mkdir()
        for name in names:
            (folder / name).write_text(name)
            (folder / name).chmod(0o600 + turn)
        digests.add(layers.write(folder, "app", tmp_path / "blobs").digest)
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["aux.h"], "Windows has no such names"),
        (["a:b"], "Windows has no such names"),
        (["end."], "Windows has no such names"),
        (["Read", "READ"], "are one name on Windows"),
    ],
)
def test_names_that_windows_does_not_have(tmp_path, names, words):
    (tmp_path / "source").mkdir()
    for name in names:
        (tmp_path / "source" / name).touch()
    with pytest.raises(ImageError, match=words):
        layers.write(tmp_path / "source", "app", tmp_path / "blobs")


def test_links_do_not_go_into_an_image(tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "link").symlink_to("/etc/passwd")
    with pytest.raises(ImageError, match="only plain files"):
        layers.write(tmp_path / "source", "app", tmp_path / "blobs")


def read(tmp_path, text):
    (tmp_path / "Dockerfile").write_text(text)
    return dockerfile.read(tmp_path / "Dockerfile")


GOOD = DOCKERFILE.format(zeros="0" * 64, base="example.com/windows:2022", digest="sha256:" + "a" * 64)


def test_the_windows_stage_of_a_dockerfile(tmp_path):
    assert read(tmp_path, GOOD) == dockerfile.WindowsStage(
        base="example.com/windows:2022",
        digest="sha256:" + "a" * 64,
        copies={"python": "python", "packages": "packages", "app": "app"},
        environment={"PATH": "C:\\python;C:\\Windows\\System32", "MODE": "batch"},
        user="ContainerUser",
        folder="C:\\app",
        entrypoint=["C:\\python\\python.exe", "-u", "-m", "winbatch.worker"],
    )


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("USER ContainerUser", "USER ContainerAdministrator", "an image runs as ContainerUser"),
        ("USER ContainerUser\n", "", "the last stage has no USER"),
        ("USER ContainerUser", "RUN dir", "line 13: RUN needs Windows to be built"),
        ("@sha256:" + "a" * 64, "", "line 6: FROM .* is named by its digest"),
        ("/stage/app/ /app/", "/stage/app/ C:/app/", "line 9: COPY"),
        ("WORKDIR C:\\app\n", "", "has no WORKDIR"),
        ("MODE=batch", "MODE=$HOME", "line 10: ENV .* without other variables"),
        ('ENTRYPOINT ["C:\\\\python', "ENTRYPOINT [C:\\python", "line 14: ENTRYPOINT .* a list in JSON"),
    ],
)
def test_what_a_windows_stage_may_not_do_is_named_with_its_line(tmp_path, old, new, words):
    assert old in GOOD
    with pytest.raises(ImageError, match=words):
        read(tmp_path, GOOD.replace(old, new))


@pytest.mark.parametrize("workload", sorted(file.parent.name for file in (ROOT / "images").glob("*/workload.toml")))
def test_every_workloads_dockerfile_is_built_like_this(workload):
    stage = dockerfile.read(ROOT / "images" / workload / "Dockerfile")
    described = staging.read(ROOT, workload)
    assert stage.copies == {name: name for name in stage.copies}
    assert set(stage.copies) == {"python", "packages", "app", *(archive.folder for archive in described.archives)}
    assert stage.entrypoint[-2:] == ["-m", "winbatch.worker"]
    assert re.fullmatch(r"mcr\.microsoft\.com/windows/server(core)?:ltsc2022", stage.base)


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil"])
def test_an_archive_stays_below_its_folder(tmp_path, name):
    (tmp_path / "a.zip").write_bytes(zipped({name: b"x"}))
    with pytest.raises(staging.StagingError, match="no plain file below its folder"):
        staging.unpack(tmp_path / "a.zip", tmp_path / "target", 0)
    assert not (tmp_path / "evil").exists()


def test_leading_folders_are_left_out(tmp_path):
    (tmp_path / "a.zip").write_bytes(zipped({"octave-1/bin/x.exe": b"x", "octave-1/README": b"y"}))
    staging.unpack(tmp_path / "a.zip", tmp_path / "target", 1)
    assert (tmp_path / "target" / "bin" / "x.exe").read_bytes() == b"x"
    (tmp_path / "b.zip").write_bytes(io.BytesIO(b"no archive").getvalue())
    with pytest.raises(staging.StagingError, match="cannot be unpacked"):
        staging.unpack(tmp_path / "b.zip", tmp_path / "target", 1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("packages = ", "workload.toml: "),
        ("package = 'x'", "package: there are packages, archives and dlls"),
        ("[[archives]]\nurl = 'x'", "an archive has url, sha256, folder, strip"),
        ("[[archives]]\nurl = 'x'\nsha256 = 'x'\nfolder = 'app'", "one plain name, not ours"),
    ],
)
def test_a_mistake_in_a_workloads_description(tmp_path, text, words):
    (tmp_path / "images" / "mine").mkdir(parents=True)
    (tmp_path / "images" / "mine" / "workload.toml").write_text(text)
    with pytest.raises(staging.StagingError, match=words):
        staging.read(tmp_path, "mine")


def test_sources_without_git_have_a_key_and_no_revision(checkout):
    before = sources.look(checkout, "mine")
    assert (before.revision, before.url, before.labels) == ("", "", {})
    (checkout / "images" / "mine" / "mine" / "__init__.py").write_text("X = 2\n")
    assert sources.look(checkout, "mine").key != before.key


@pytest.mark.parametrize("moment", ["yesterday", "-1", "1.5", "9" * 5000])
def test_a_moment_that_is_none_is_told(checkout, monkeypatch, moment):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", moment)
    with pytest.raises(ImageError, match=r"SOURCE_DATE_EPOCH=.* whole seconds since 1970"):
        sources.look(checkout, "mine")


def test_a_clone_without_its_history_is_refused(tmp_path):
    def git(*arguments, cwd=tmp_path):
        own = ["-c", "user.name=A", "-c", "user.email=a@example.test", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *own, *arguments], cwd=cwd, check=True, capture_output=True)

    first, clone = tmp_path / "first", tmp_path / "clone"
    (first / "images" / "mine").mkdir(parents=True)
    git("init", "-q", str(first))
    for number in range(2):
        (first / "images" / "mine" / "file").write_text(str(number))
        git("add", "-A", cwd=first)
        git("commit", "-qm", "One", cwd=first)
    git("clone", "-q", "--depth=1", first.as_uri(), str(clone))
    with pytest.raises(ImageError, match=r"clone is a shallow clone.*git fetch --unshallow"):
        sources.look(clone, "mine")
    git("fetch", "-q", "--unshallow", cwd=clone)
    assert sources.look(clone, "mine").revision == sources.look(first, "mine").revision


def test_a_revision_is_that_of_the_images_own_sources():
    here = sources.look(ROOT, "tools")
    assert len(here.revision.removesuffix("-dirty")) == 40
    assert here.time > 1_700_000_000
    assert "@" not in here.url.partition("//")[2]


def test_the_windows_of_an_environment():
    for name in ("dev", "prod"):
        assert Settings.load(name, environ={}).windows_version == WINDOWS_VERSION
    text = (ROOT / "terraform" / "modules" / "cluster" / "variables_instances.tf").read_text()
    assert re.search(rf'version\s+= optional\(string, "{WINDOWS_VERSION}"\)', text)


def test_another_windows_is_read_from_the_values(checkout):
    file = checkout / "terraform" / "environments" / "dev.tfvars"
    file.write_text(file.read_text().replace("cluster = {", 'cluster = {\n  windows = { version = "2019" }'))
    assert Settings.load("dev", environ={}, root=checkout).windows_version == "2019"
