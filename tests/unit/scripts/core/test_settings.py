from pathlib import Path

import pytest

from scripts.core.errors import SettingsError
from scripts.core.settings import ROOT, Settings, assignment


def test_the_option_wins_over_the_variable_and_that_over_the_default():
    assert Settings.load("prod", environ={"WINBATCH_ENV": "dev"}).environment == "prod"
    assert Settings.load("", environ={"WINBATCH_ENV": "dev"}).environment == "dev"
    assert Settings.load(environ={}).environment == "local"


def test_an_unknown_environment_names_the_known_ones():
    with pytest.raises(SettingsError, match=r"unknown environment 'nowhere'; there are dev, local, prod"):
        Settings.load("nowhere", environ={})


@pytest.mark.parametrize("port", ["http", "80", "65536", "-1", "5566.0"])
def test_a_port_that_is_none_is_refused(port):
    with pytest.raises(SettingsError, match=r"WINBATCH_PORT=.*a whole number from 1024 to 65535"):
        Settings.load(environ={"WINBATCH_PORT": port})


def test_folders_are_the_checkouts_unless_they_are_named(tmp_path):
    assert Settings.load(environ={}).state == ROOT / ".state" / "local"
    assert Settings.load(environ={}).cache == ROOT / ".cache"
    named = Settings.load("dev", environ={"WINBATCH_STATE": str(tmp_path), "WINBATCH_CACHE": str(tmp_path / "c")})
    assert named.state == tmp_path / "dev"
    assert named.cache == tmp_path / "c"


def test_a_persons_own_programs_lie_in_the_checkout_unless_folders_are_named(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert Settings.load(environ={}).local_path == (ROOT / ".local" / "bin",)
    named = Settings.load(environ={"WINBATCH_LOCAL_PATH": "/opt/a:~/bin:"}).local_path
    assert named == (Path("/opt/a"), Path("/home/me/bin"))
    with pytest.raises(SettingsError, match="WINBATCH_LOCAL_PATH: bin is relative; name folders by their whole paths"):
        Settings.load(environ={"WINBATCH_LOCAL_PATH": "/opt/a:bin"})


def test_only_local_containers_run_under_wine_and_any_other_word_is_refused():
    assert Settings.load(environ={"WINBATCH_WINDOWS": "wine"}).wine
    assert not Settings.load(environ={"WINBATCH_WINDOWS": ""}).wine
    assert not Settings.load("dev", environ={"WINBATCH_WINDOWS": "wine"}).wine
    for environment in ("local", "dev"):
        with pytest.raises(SettingsError, match=r"^WINBATCH_WINDOWS=yes: wine or nothing is expected$"):
            Settings.load(environment, environ={"WINBATCH_WINDOWS": "yes"})


@pytest.mark.parametrize("environment", ["local", "dev", "prod"])
def test_every_environment_names_its_airflow_region_and_state(environment):
    settings = Settings.load(environment, environ={})
    assert settings.airflow_version.startswith("3.")
    assert settings.region == "eu-central-1"
    assert settings.backend("bucket") == f"winbatch-{environment}-tfstate"


def test_an_environment_without_an_airflow_version_is_refused(tmp_path):
    folder = tmp_path / "terraform" / "environments"
    folder.mkdir(parents=True)
    (folder / "odd.tfvars").write_text('cluster = {\n  version = "9"\n}\n')
    with pytest.raises(SettingsError, match=r"odd\.tfvars: no version in airflow"):
        _ = Settings.load("odd", environ={}, root=tmp_path).airflow_version


def test_an_assignment_is_found_by_its_whole_name():
    text = 'my_region = "a"\n  region   =   "b"\nregions = "c"\n'
    assert assignment(text, "region") == "b"
    assert assignment(text, "missing") is None
