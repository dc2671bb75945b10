import pytest

from scripts.core.settings import ROOT, Settings


@pytest.fixture
def settings(tmp_path):
    """The local environment with state and cache of the test's own."""
    environ = {"WINBATCH_STATE": str(tmp_path / "state"), "WINBATCH_CACHE": str(tmp_path / "cache")}
    return Settings.load("local", environ=environ, root=ROOT)
