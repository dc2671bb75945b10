"""What docs/bring-your-own.md and verify-windows.ps1 tell to do with scripts, done under Wine as far as that goes.

PowerShell is not there: Wine's does nothing.
"""

import json
import re
from dataclasses import replace

import pytest

from tests.emulated import ROOT
from tests.powershell import broken
from tests.verify_windows import CHECKS
from tests.windows import images

pytestmark = pytest.mark.slow

PAGE = (ROOT / "docs" / "bring-your-own.md").read_text(encoding="utf-8")
VALUES = ["plain", 'x" & echo INJECTED & rem "', "%PATH%", "a^b & c | d > e", "-Other:x", "two  words", "50%", "'"]
RUN_EACH = """
import json, subprocess, sys
def run(words, again=True):
    try:
        done = subprocess.run([sys.executable, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    except OSError as error:
        # Seldom, on a busy machine, Wine starts no process and says "Internal error"; the next one starts.
        if error.winerror != 1359 or not again:
            raise
        return run(words, again=False)
    return done.returncode, done.stdout.strip()
print(json.dumps([run(words) for words in json.loads(sys.argv[1])]))
"""
# What only Windows does as it is expected there: Wine has no bound for paths and no PowerShell, looks at !NAME! twice,
# and was not asked about locks.
NOT_HERE = {
    "PowerShell takes a word behind -Value: as it is",
    "batch file that reads !VALUE! does not",
    "longest path that can be written, plain and with \\\\?\\",
    "seconds for which a file stays locked when its program was killed",
}


def block(language, name):
    """The page's block of this language that is this file."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    (found,) = [text for text in blocks if f"images/mine/files/{name}" in text]
    return found


@pytest.fixture(scope="module")
def image(windows):
    """The image of `tools`, and the page's batch file with the script that starts it."""
    own = images.of(windows, "tools")
    files = {"app/run.py": block("python", "run.py").encode(), "app/run.cmd": block("bat", "run.cmd").encode()}
    return replace(windows.on(own, files), working_path=r"C:\app")


def test_the_pages_powershell_is_grammar(windows):
    assert broken(block("powershell", "solve.ps1")) == []


def results(windows, image, commands):
    """The exit code and output of each of some words of Python's, one after the other in one container."""
    code, said = windows.run(image, "-c", RUN_EACH, json.dumps(commands))
    assert code == 0, said
    return json.loads(said.splitlines()[-1])


def test_a_batch_file_gets_each_value_as_it_is(windows, image):
    commands = [[r"C:\app\run.py", value, r"C:\Users\ContainerUser"] for value in VALUES]
    assert results(windows, image, commands) == [[0, f"value: {value}"] for value in VALUES]


def test_what_is_expected_of_windows_holds_under_wine(windows, image):
    checks = [check for check in CHECKS if check.name not in NOT_HERE]
    assert len(checks) == len(CHECKS) - len(NOT_HERE)
    for check, (code, said) in zip(
        checks, results(windows, image, [["-c", check.code] for check in checks]), strict=True
    ):
        assert code == 0, (check.name, said)
        assert re.fullmatch(check.expected, said), (check.name, said)
