"""What an image's programs import is found where Windows' loader would find it, or named."""

import pytest

from scripts.core.console import Steps
from scripts.core.errors import ImageError
from scripts.core.settings import ROOT
from scripts.windows import dockerfile, image, imports, staging

from .conftest import PYTHON_FILES, put_base, write, zipped
from .pe import I386, program
from .test_image import dockerfile as write_dockerfile

CORE = "mcr.microsoft.com/windows/servercore"
PATH = r"C:\python;C:\Octave\bin;D:\other;C:\Windows\System32"
RUNTIME = "msvcp140.dll"


def missing(tmp_path, files, base=CORE, allowed=()):
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    return {item.dll: item for item in imports.find_missing(tmp_path, PATH, base, dict.fromkeys(allowed, "why"))}


@pytest.mark.parametrize(
    ("place", "found"),
    [
        ("packages/numba/_dispatcher.cp312-win_amd64.pyd", True),  # beside it
        ("python/x.dll", True),  # python.exe's folder
        ("packages/numpy.libs/x.dll", True),  # os.add_dll_directory
        ("packages/x.dll", False),  # Python leaves its search path to modules
        ("app/x.dll", False),
        ("octave/bin/x.dll", False),  # on PATH, which Python does not use for what it loads
    ],
)
def test_where_the_dlls_of_a_python_module_may_lie(tmp_path, place, found):
    folder = place.rpartition("/")[0]
    files = {"packages/numba/module.pyd": program([RUNTIME]), f"{folder}/MSVCP140.dll": program()}
    assert (RUNTIME not in missing(tmp_path, files)) == found


@pytest.mark.parametrize(
    ("user", "folder", "found"),
    [
        ("solver/solve.exe", "solver", True),
        ("solver/solve.exe", "solver/lib", False),
        ("solver/plugins/one.dll", "solver", True),  # loaded by solve.exe, which lies there
        ("octave/libexec/help.exe", "octave/bin", True),  # on PATH
        ("app/tool.exe", "python", True),
        ("solver/solve.exe", "python", True),
        ("solver/solve.exe", "packages/numpy.libs", False),
    ],
)
def test_where_the_dlls_of_a_program_may_lie(tmp_path, user, folder, found):
    files = {"solver/other.exe": program(), user: program([RUNTIME]), f"{folder}/{RUNTIME}": program()}
    assert (RUNTIME not in missing(tmp_path, files)) == found


def test_each_table_counts_and_what_windows_has_does_not(tmp_path):
    files = {
        "app/a.exe": program(
            ["KERNEL32.dll", "api-ms-win-crt-heap-l1-1-0.dll", "first.dll"], ["second.dll"], ["third.f", "fourth.x.#7"]
        ),
        "app/b.exe": program(["first.dll"]),
        "app/fourth.x": program(),
    }
    found = missing(tmp_path, files)
    assert set(found) == {"first.dll", "second.dll", "third.dll"}
    assert found["first.dll"].words == "app/a.exe (and 1 more) imports first.dll"


def test_what_lies_out_of_sight_is_named(tmp_path):
    files = {"app/a.exe": program([RUNTIME]), f"packages/{RUNTIME}": program()}
    assert missing(tmp_path, files)[RUNTIME].words == (
        f"app/a.exe imports {RUNTIME}; it is at packages/{RUNTIME}, where Windows does not look"
    )


def test_a_dll_for_another_processor_is_none(tmp_path):
    files = {"app/a.exe": program([RUNTIME], machine=I386), f"app/{RUNTIME}": program()}
    assert RUNTIME in missing(tmp_path, files)
    files[f"app/{RUNTIME}"] = program(machine=I386)
    assert not missing(tmp_path, files)


def test_managed_code_needs_no_framework(tmp_path):
    """The header of .NET's assemblies names mscoree.dll, which .NET itself does not load."""
    nano = "mcr.microsoft.com/windows/nanoserver"
    assert not missing(tmp_path, {"app/a.dll": program(["mscoree.dll"], managed=True)}, nano)
    assert "mscoree.dll" in missing(tmp_path, {"app/b.dll": program(["mscoree.dll"])}, nano)


def test_what_is_no_program_is_not_looked_at(tmp_path):
    assert not missing(tmp_path, {"app/a.exe": b"MZ", "app/b.dll": b"#!/bin/sh\n", "app/c.dll": b""})


@pytest.mark.parametrize(
    ("base", "dll", "there"),
    [
        (CORE, "kernel32.dll", True),
        (CORE, "opengl32.dll", False),
        (CORE, RUNTIME, False),
        (CORE, "vcruntime140.dll", False),
        ("mcr.microsoft.com/windows/server", "opengl32.dll", True),
        ("mcr.microsoft.com/windows/server", "kernel32.dll", True),
        ("mcr.microsoft.com/windows", "glu32.dll", True),
        ("mcr.microsoft.com/windows/nanoserver", "gdi32.dll", False),
        ("example.com/our/golden-image", "kernel32.dll", True),  # taken for Server Core
    ],
)
def test_which_base_has_what(base, dll, there):
    assert (dll in imports.system_dlls(base)) == there


def test_each_workloads_base_is_one_that_the_list_knows():
    for file in (ROOT / "images").glob("*/Dockerfile"):
        name = dockerfile.read(file).base.partition(":")[0]
        assert name == CORE or imports.system_dlls(name) != imports.system_dlls(CORE), file


def test_a_missing_dll_fails_the_build_with_one_line(settings, checkout, microsoft):
    write_dockerfile(checkout, f"{microsoft}/windows/servercore:ltsc2022", put_base(microsoft))
    (checkout / "images" / "mine" / "files" / "price.exe").write_bytes(program(["kernel32.dll", "fancy.dll"]))
    with pytest.raises(ImageError) as raised:
        image.build(settings, "mine", Steps())
    line = str(raised.value)
    assert "\n" not in line
    assert line.startswith("app/price.exe imports fancy.dll: neither ")
    assert "images/mine/workload.toml" in line
    text = (checkout / "images" / "mine" / "workload.toml").read_text()
    (checkout / "images" / "mine" / "workload.toml").write_text(text + '[dlls]\n"Fancy.dll" = "for sound"\n')
    image.build(settings, "mine", Steps())


@pytest.mark.parametrize("text", ['dlls = ["a.dll"]', '[dlls]\n"a.dll" = ""', '[dlls]\n"a.dll" = true'])
def test_a_dll_may_be_missing_only_for_a_reason(checkout, text):
    (checkout / "images" / "mine" / "workload.toml").write_text(text)
    with pytest.raises(staging.StagingError, match="why it may be missing"):
        staging.read(checkout, "mine")


def test_what_a_wheel_means_for_the_interpreters_folder_goes_there(settings, checkout, site, tmp_path):
    """msvc-runtime's DLLs lie among a wheel's data, for sys.prefix, and among its scripts."""
    files, address = site
    python = zipped(PYTHON_FILES | {"_wmi.pyd": b"MZ"})
    files["/python.zip"] = python
    write(
        checkout, "images/python.toml", url=f"{address}/python.zip", sha256=staging.hashlib.sha256(python).hexdigest()
    )
    uv = tmp_path / "uv"
    uv.write_text(
        "#!/bin/sh\n"
        'case "$1" in export) exit;; esac\n'
        'while [ "$1" != --target ]; do shift; done; cd "$2"\n'
        "mkdir Scripts; printf new > Scripts/vcruntime140.dll; printf new > msvcp140.dll; printf x > vcamp140.dll\n"
        "printf x > module.pyd\n"
    )
    uv.chmod(0o755)
    target = tmp_path / "stage"
    staging.stage(checkout, "mine", target, cache=settings.cache, uv=str(uv), progress=lambda _: None)
    found = {path.name: path.read_bytes() for path in (target / "python").iterdir()}
    assert found["vcruntime140.dll"] == found["msvcp140.dll"] == b"new"
    assert not found.keys() & set(staging.LEFT_OUT)
    assert [path.name for path in (target / "packages").iterdir()] == ["module.pyd"]
