"""deployment.json as the DAGs read it: what an environment says, and what is said about one that is wrong."""

import json

import pytest

from winbatch import deployment
from winbatch.errors import DeploymentError

DOCUMENT = {
    "schema": 1,
    "environment": "local",
    "region": "eu-central-1",
    "account_id": "123456789012",
    "dags_bucket": "dags",
    "dags_prefix": "dags",
    "data_bucket": "data",
    "data_prefixes": ["jobs", "sim"],
    "airflow": {"environment": "winbatch-local", "version": "3.0.6"},
    "cluster": {
        "name": "c",
        "capacity_provider": "c",
        "auto_scaling_group": "c",
        "max_instances": 8,
        "subnets": ["s"],
        "security_groups": ["g"],
        "instance_types": [
            {"type": "c5.xlarge", "vcpus": 4, "memory_mib": 8192, "network_interfaces": 4, "usd_per_hour": 0.378},
            {"type": "c5a.xlarge", "vcpus": 4, "memory_mib": 8192, "network_interfaces": 4, "usd_per_hour": None},
            # As an environment wrote it that was applied before there were prices.
            {"type": "c6i.xlarge", "vcpus": 4, "memory_mib": 8192, "network_interfaces": 4},
        ],
    },
    "workloads": {},
}


def test_an_instance_type_may_have_a_price():
    read = deployment.Deployment.from_json(json.dumps(DOCUMENT), where="deployment.json")
    assert [kind.usd_per_hour for kind in read.cluster.instance_types] == [0.378, None, None]
    assert read.cluster.prices == {"c5.xlarge": 0.378}


def test_where_no_type_has_a_price_there_is_none():
    types = [DOCUMENT["cluster"]["instance_types"][number] for number in (1, 2)]
    cluster = DOCUMENT["cluster"] | {"instance_types": types}
    read = deployment.Deployment.from_json(json.dumps(DOCUMENT | {"cluster": cluster}), where="deployment.json")
    assert read.cluster.prices == {}


@pytest.mark.parametrize(
    "text",
    [
        "",
        json.dumps(DOCUMENT)[:200],
        "[]",
        json.dumps(DOCUMENT | {"schema": 0}),
        json.dumps({name: value for name, value in DOCUMENT.items() if name != "cluster"}),
        json.dumps(DOCUMENT | {"cluster": {"name": "c"}}),
        json.dumps(DOCUMENT | {"workloads": None}),
    ],
)
def test_a_wrong_one_is_named_with_what_to_do(tmp_path, text):
    path = tmp_path / "deployment.json"
    path.write_text(text)
    with pytest.raises(DeploymentError, match=r"deployment\.json.*invoke up") as raised:
        deployment.load(path)
    assert "\n" not in str(raised.value)


def test_a_missing_one_is_named_with_what_to_do(tmp_path):
    with pytest.raises(DeploymentError, match=r"deployment\.json is not beside the DAGs.*invoke up"):
        deployment.load(tmp_path / "deployment.json")
