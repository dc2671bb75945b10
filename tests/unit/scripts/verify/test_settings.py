"""The environment that is made, out of another one's values."""

import dataclasses
import json

import pytest

from scripts.checks import costs
from scripts.core.errors import SettingsError
from scripts.core.settings import ROOT, Settings
from scripts.terraform.values import read
from scripts.verify import checks, main
from scripts.verify.settings import WORKLOADS, VerifySettings, backend, values
from winbatch import spec


def of(name):
    return read(ROOT / "terraform" / "environments" / f"{name}.tfvars")


@pytest.fixture
def settings(tmp_path):
    return VerifySettings.beside(dataclasses.replace(Settings.load("dev"), state_root=tmp_path))


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_it_is_the_smallest_and_nothing_of_it_outlives_a_destroy(name):
    given = of(name)
    made = values(given)
    assert made["environment"] == "verify"
    assert made["region"] == given["region"]
    assert made["force_destroy"] is True
    assert made["airflow"]["environment_class"] == "mw1.micro"
    assert made["airflow"].get("version") == given["airflow"].get("version")
    assert made["cluster"]["max_instances"] == 2
    assert not {"warm_pool", "purchase"} & made["cluster"].keys()
    assert made["network"] == {"egress": "nat"}
    assert made["observability"]["backstop"] == {"enabled": True, "idle_minutes": 30}
    assert set(made["workloads"]) == set(WORKLOADS)
    assert not {"shared_storage", "image_builder", "permissions_boundary"} & made.keys()


def test_a_network_that_is_there_is_used():
    network = {"existing": {"vpc_id": "vpc-1", "subnet_ids": {"a": "s-1"}}, "egress": "existing"}
    assert values({"network": network})["network"] == network


def test_its_state_lies_in_a_bucket_of_its_own():
    text = backend('# A comment\nbucket       = "acme-dev"\nkey = "winbatch.tfstate"\nregion = "eu-central-1"\n')
    assert 'bucket       = "acme-dev-verify"' in text
    assert 'key = "winbatch.tfstate"' in text


def test_its_files_are_written_into_its_state_folder(settings, tmp_path):
    settings.write(permissions_boundary="deployment/winbatch-verify-boundary")
    assert settings.state == tmp_path / "verify"
    written = json.loads(settings.var_files[0].read_text())
    assert written["permissions_boundary"] == "deployment/winbatch-verify-boundary"
    assert settings.backend("bucket") == f"{Settings.load('dev').backend('bucket')}-verify"
    assert settings.region == Settings.load("dev").region
    assert settings.airflow_version == Settings.load("dev").airflow_version
    assert not settings.local


def test_the_emulator_is_known_by_its_address(settings, monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    assert not settings.emulated
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:5566")
    assert settings.emulated
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://vpce-1.s3.eu-central-1.vpce.amazonaws.com")
    assert not settings.emulated


def test_the_local_environment_is_nobodys_aws():
    with pytest.raises(SettingsError, match="--env dev"):
        VerifySettings.beside(Settings.load("local"))


def test_its_jobs_are_jobs_of_its_workloads():
    for dag, parameters in (
        ("ber", dict(checks.LONG)),
        ("ber", dict(checks.SOME)),
        ("files", {"input_prefix": checks.PREFIX}),
        ("chain", {"volatility": list(checks.VOLATILITIES)}),
    ):
        job = spec.load(dag)
        assert job.workload in WORKLOADS
        job.validate(parameters)


def test_it_costs_a_few_dollars():
    assert 1 < sum(line.usd for line in costs.verify_lines(main.HOURS, main.INSTANCE_HOURS)) < 5
