"""Layers of images become a folder; those of Windows its drive C."""

import contextlib
import gzip
import io
import os
import stat
import tarfile
from pathlib import Path

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from emulator.ecs.images import unpack

HARD, SYMBOLIC = tarfile.LNKTYPE, tarfile.SYMTYPE


def layer(*entries):
    """A layer of files (name, content), folders (name) and links (name, kind, target)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, *rest in entries:
            member, content = tarfile.TarInfo(name), b""
            match rest:
                case []:
                    member.type = tarfile.DIRTYPE
                case [text]:
                    content = text.encode()
                    member.size = len(content)
                case [kind, target]:
                    member.type, member.linkname = kind, target
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def unpacked(folder, *layers, system="windows", kind="application/vnd.oci.image.layer.v1.tar"):
    """The folder of an image of these layers; None stands for one that no registry has."""
    for number, data in enumerate(layers):
        if data is not None:
            (folder / f"layer{number}").write_bytes(data)
    manifest = {"layers": [{"digest": f"layer{number}", "mediaType": kind} for number in range(len(layers))]}
    unpack(manifest, {"os": system}, lambda digest: folder / digest, folder / "image")
    return folder / "image"


def content(root):
    """Each file's text by its path."""
    return {
        path.relative_to(root).as_posix(): path.read_text()
        for path in root.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


@pytest.mark.parametrize("compressed", [bytes, gzip.compress, zstd.compress])
@pytest.mark.parametrize(("system", "name"), [("windows", "Files/app/a.txt"), ("linux", "app/a.txt")])
def test_a_layer_is_read_whatever_compressed_it(tmp_path, compressed, system, name):
    assert content(unpacked(tmp_path, compressed(layer((name, "whole"))), system=system)) == {"app/a.txt": "whole"}


@pytest.mark.parametrize("compressed", [gzip.compress, zstd.compress])
@pytest.mark.parametrize(
    "broken", [lambda data: data[: len(data) // 2], lambda data: data[:20] + b"\xff" * 20 + data[40:]]
)
def test_a_layer_that_is_broken_is_said_and_leaves_no_image(tmp_path, compressed, broken):
    data = compressed(layer(("Files/a", os.urandom(3000).hex())))
    data = data[: len(data) // 2] if broken == "cut" else data[:20] + b"\xff" * 20 + data[40:]
    with pytest.raises((tarfile.TarError, OSError)):
        unpacked(tmp_path, data)
    assert not (tmp_path / "image").exists()


def test_only_what_is_on_drive_c_is_unpacked(tmp_path):
    made = layer(("Hives",), ("Hives/Software_Delta", "registry"), ("UtilityVM/Files/x", "vm"), ("Files/x", "mine"))
    assert content(unpacked(tmp_path, made)) == {"x": "mine"}


@pytest.mark.parametrize(
    ("gone", "left"),
    [
        ("Files/app/.wh.old.txt", {"app/new.txt": "new", "app/sub/deep.txt": "deep"}),
        ("Files/APP/.wh.OLD.TXT", {"app/new.txt": "new", "app/sub/deep.txt": "deep"}),
        ("Files/app/.wh.sub", {"app/new.txt": "new", "app/old.txt": "old"}),
        ("Files/.wh.App", {}),
        ("Files/app/.wh..wh..opq", {}),
        ("Files/App/.wh..wh..opq", {}),
        (
            "Files/app/.wh.never",
            {"app/new.txt": "new", "app/old.txt": "old", "app/sub/deep.txt": "deep"},
        ),
    ],
)
def test_a_layer_takes_away_what_it_names_whatever_the_case(tmp_path, gone, left):
    below = layer(("Files/app/old.txt", "old"), ("Files/app/new.txt", "new"), ("Files/app/sub/deep.txt", "deep"))
    assert content(unpacked(tmp_path, below, layer((gone, "")))) == left


def test_what_a_layer_hides_comes_back_by_a_later_one(tmp_path):
    below, hides = layer(("Files/a/x", "1")), layer(("Files/a/.wh.x", ""))
    assert content(unpacked(tmp_path, below, hides, layer(("Files/A/X", "3")))) == {"a/X": "3"}


def test_a_file_of_another_case_is_the_same_file(tmp_path):
    root = unpacked(
        tmp_path, layer(("Files/Program Files/Tool.exe", "1")), layer(("Files/program files/TOOL.EXE", "2"))
    )
    assert content(root) == {"Program Files/Tool.exe": "2"}


def test_hard_links_are_one_file_until_one_of_them_is_replaced(tmp_path):
    below = layer(("Files/a.txt", "one"), ("Files/b.txt", HARD, "Files/A.TXT"), ("Files/c.txt", HARD, "Files/a.txt"))
    root = unpacked(tmp_path, below, layer(("Files/a.txt", "two")))
    assert content(root) == {"a.txt": "two", "b.txt": "one", "c.txt": "one"}
    assert (root / "b.txt").samefile(root / "c.txt")


@pytest.mark.parametrize(
    ("target", "read"),
    [
        ("b.txt", "below"),
        (r"..\top.txt", "top"),
        (r"C:\top.txt", "top"),
        (r"\??\C:\app\b.txt", "below"),
        ("/top.txt", "top"),
        ("c:/app/b.txt", "below"),
    ],
)
def test_a_symbolic_link_points_into_its_own_drive(tmp_path, target, read):
    made = layer(("Files/top.txt", "top"), ("Files/app/b.txt", "below"), ("Files/app/link", SYMBOLIC, target))
    assert (unpacked(tmp_path, made) / "app/link").read_text() == read


@pytest.mark.parametrize(
    "entries",
    [
        [("Files/../../out.txt", "x")],
        [("../Files/out.txt", "x")],
        [("Files/a", HARD, "Hives/x")],
        [("Files/a", HARD, "../../etc/passwd")],
        [("Files/up", SYMBOLIC, ".."), ("Files/up/out.txt", "x")],
        [("Files/up", SYMBOLIC, r"C:\.."), ("Files/up/kept/.wh.file", "")],
        [("Files/up", SYMBOLIC, r"C:\..\kept"), ("Files/up/.wh..wh..opq", "")],
    ],
)
@pytest.mark.parametrize("together", [True, False], ids=["one layer", "a layer each"])
def test_nothing_leads_out_of_an_image(tmp_path, entries, together):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").write_text("kept")
    made = [layer(*entries)] if together else [layer(entry) for entry in entries]
    with contextlib.suppress(tarfile.TarError):
        unpacked(tmp_path, *made)
    assert content(tmp_path / "kept") == {"file": "kept"}
    assert {path.name for path in tmp_path.iterdir() if "layer" not in path.name} <= {"image", "image.partial", "kept"}


def test_a_name_that_leads_out_of_an_image_is_said(tmp_path):
    with pytest.raises(tarfile.TarError, match=r"'Files/\.\./out.txt' leads out of the image"):
        unpacked(tmp_path, layer(("Files/../out.txt", "x")))


def test_what_an_image_brought_is_not_its_owners_to_write_to(tmp_path):
    root = unpacked(tmp_path, layer(("Files/app",), ("Files/app/a.exe", "x"), ("Files/link", SYMBOLIC, r"app\a.exe")))
    assert stat.S_IMODE((root / "app/a.exe").stat().st_mode) & stat.S_IWUSR == 0


@pytest.mark.parametrize("system", ["Windows/System32", "WINDOWS/system32"])
def test_a_bases_own_windows_stays_out_and_a_workloads_files_there_stay(tmp_path, system):
    base = layer(
        (f"Files/{system}/ntdll.dll", "real"), (f"Files/{system}/other.dll", "real"), ("Files/License.txt", "l")
    )
    root = unpacked(tmp_path, base, layer(("Files/Windows/System32/mine.dll", "mine")))
    assert content(root) == {"License.txt": "l", "Windows/System32/mine.dll": "mine"}


def test_a_layer_that_stays_with_its_maker_is_done_without(tmp_path):
    foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
    assert content(unpacked(tmp_path, None, layer(("Files/a", "mine")), kind=foreign)) == {"a": "mine"}


def test_any_other_layer_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        unpacked(tmp_path, None, layer(("Files/a", "mine")))


NAMES = st.sampled_from(["a", "A", "B/c", "b/C", "b/c", "d/E/f", "D/e/F"])


@given(st.lists(st.dictionaries(NAMES, st.text("xyz", max_size=3), max_size=4), max_size=4))
def test_the_last_layer_that_brings_a_file_wins_as_on_a_drive_without_case(tmp_path_factory, layers):
    folder = tmp_path_factory.mktemp("any")
    wanted = {}
    for files in layers:
        wanted |= {name.lower(): text for name, text in files.items()}
    root = unpacked(folder, *(layer(*((f"Files/{name}", text) for name, text in files.items())) for files in layers))
    assert {name.lower(): text for name, text in content(Path(root)).items()} == wanted
