import errno

import pytest

from scripts.chaos import disk


def test_a_disk_that_is_full_takes_nothing_and_then_takes_what_comes(tmp_path):
    folder = tmp_path / "state"
    if not disk.mount(folder):
        pytest.skip("nobody may mount here")
    try:
        (folder / "before").write_bytes(b"x" * 10_000)
        assert disk.fill(folder)
        with pytest.raises(OSError, match="No space left") as full:
            (folder / "after").write_bytes(b"x" * 100_000)
        assert full.value.errno == errno.ENOSPC
        disk.free(folder)
        (folder / "after").write_bytes(b"x" * 100_000)
    finally:
        disk.unmount(folder)
    assert not folder.is_mount()
    assert not list(folder.iterdir())


def test_a_folder_without_a_disk_of_its_own_is_left_alone(tmp_path):
    assert not disk.fill(tmp_path)
    disk.free(tmp_path)
    disk.unmount(tmp_path)
    (tmp_path / "file").write_bytes(b"x")
