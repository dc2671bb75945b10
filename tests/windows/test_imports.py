"""What Python in each workload's image imports, finds and is told; under Wine, whose System32 is not Server Core's."""

import json

import pytest

from scripts.core.settings import ROOT
from scripts.windows import staging
from tests.windows import images

pytestmark = pytest.mark.slow

# Those whose archives anybody can fetch.
WORKLOADS = sorted(
    path.parent.name
    for path in (ROOT / "images").glob("*/workload.toml")
    if not staging.read(ROOT, path.parent.name).archives
)
LOOK = r"""
import builtins, ctypes, importlib.util, json, os, pathlib, platform, sys, zoneinfo
def path_of(name):
    buffer = ctypes.create_unicode_buffer(1000)
    dll = ctypes.WinDLL(name)
    ctypes.windll.kernel32.GetModuleFileNameW(ctypes.c_void_p(dll._handle), buffer, 1000)
    return buffer.value.lower()
failed = {}
names = ["winbatch.worker", *(name.removesuffix(".__init__") for name in sys.argv[1:])]
names += [p.stem for p in pathlib.Path(r"C:\python").glob("*.pyd")]
# Packages whose code is compiled are those that may lack a DLL: each of their modules is imported.
for p in pathlib.Path(r"C:\packages").rglob("*.pyd"):
    names.append(".".join([*p.relative_to(r"C:\packages").parent.parts, p.name.split(".")[0]]))
for name in names:
    try:
        importlib.import_module(name)
    except Exception as error:
        failed[name] = repr(error)
print(json.dumps({
    "imported": len(names), "failed": failed, "platform": sys.platform,
    "wmi": importlib.util.find_spec("_wmi") is not None,
    "exit": hasattr(builtins, "exit"), "utf8": sys.flags.utf8_mode, "uname": platform.uname().system,
    "zone": str(zoneinfo.ZoneInfo("Europe/Berlin")), "runtime": [path_of("msvcp140.dll"), path_of("vcruntime140.dll")],
}))
"""
# No image needs them: msvc-runtime's own module, and parts of numba and Pillow for what is not there.
OPTIONAL = {"msvc_runtime", "numba.np.ufunc.tbbpool", "PIL._imagingtk", "matplotlib.backends._tkagg"}


@pytest.mark.parametrize("workload", WORKLOADS)
def test_everything_that_an_image_has_can_be_imported(windows, workload):
    modules = [f"{path.parent.name}.{path.stem}" for path in (ROOT / "images" / workload).glob("*/*.py")]
    assert modules
    code, said = windows.run(images.of(windows, workload), "-c", LOOK, *modules)
    assert code == 0, said
    found = json.loads(said.splitlines()[-1])
    assert {name: error for name, error in found.pop("failed").items() if name not in OPTIONAL} == {}
    assert found.pop("imported") > len(modules) + 10
    runtime = found.pop("runtime")
    assert runtime == [r"c:\python\msvcp140.dll", r"c:\python\vcruntime140.dll"]
    assert found == {
        "platform": "win32",
        "wmi": False,
        "exit": True,
        "utf8": 1,
        "uname": "Windows",
        "zone": "Europe/Berlin",
    }


FOUND = r"""
import importlib.util as u, json, os
print(json.dumps([u.find_spec(n) is not None for n in ("tools", "beside", "item_module")]))
"""


@pytest.mark.parametrize(
    ("words", "expected"),
    [([r"C:\data\sub\main.py"], [True, True, False]), (["-c", FOUND], [True, False, False])],
    ids=["script", "code"],
)
def test_what_a_program_of_python_finds(windows, words, expected):
    """`tests/unit/scripts/windows/test_same.py` says the same of the Python here."""
    files = {"data/sub/beside.py": b"", "data/sub/main.py": FOUND.encode()}
    image = windows.on(images.of(windows, "tools"), files)
    code, said = windows.run(image, *words)
    assert (code, json.loads(said.splitlines()[-1])) == (0, expected)
