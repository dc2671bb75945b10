"""Files as the worker sees them, where Windows has rules of its own."""

import pytest

from winbatch.working import files


@pytest.mark.parametrize(
    ("path", "long"),
    [
        (r"C:\t\0-0", r"\\?\C:\t\0-0"),
        ("C:/t/./a/../b", r"\\?\C:\t\b"),
        (r"\\host\share\x", r"\\?\UNC\host\share\x"),
        (r"\\?\C:\x", r"\\?\C:\x"),
    ],
)
def test_a_path_of_any_length(path, long):
    # Microsoft, "Maximum Path Length Limitation" and "Naming Files, Paths, and Namespaces".
    assert files.long_name(path) == long


@pytest.mark.parametrize("held", [0, 2, 3])
def test_what_is_held_is_waited_for(held):
    tries = []

    def act():
        tries.append(1)
        if len(tries) <= held:
            raise PermissionError(13, "Permission denied")
        return "done"

    if held < 3:
        assert files.patiently(act, (0.0, 0.0)) == "done"
    else:
        with pytest.raises(PermissionError):
            files.patiently(act, (0.0, 0.0))
    assert len(tries) == min(held + 1, 3)


def test_what_is_gone_is_not():
    def act():
        tries.append(1)
        raise FileNotFoundError

    tries = []
    with pytest.raises(FileNotFoundError):
        files.patiently(act, (0.0, 0.0))
    assert len(tries) == 1
