"""Nothing is used that version 6 of the AWS provider lacks, renamed or reads differently.

After its schema (`provider_schema`), and the changelog of 6.0.0 ("Breaking changes" and "Notes"), for the types that
this code could come to use. Version 5 is what plans here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import botocore.session
import pytest

from . import provider_schema
from .conftest import ROOT

# Whole services, and single types.
GONE = re.compile(
    r"aws_(opsworks_\w+|simpledb_domain|worklink_\w+|redshift_service_account|evidently_\w+|media_store_\w+"
    r"|elastictranscoder_\w+|kinesis_analytics_application|cloudtrail_service_account|kms_secret)"
)
# Arguments and blocks that are gone or renamed, by type; `*` is the provider's own block.
ARGUMENTS = {
    "*": {"s3_us_east_1_regional_endpoint", "opsworks", "simpledb", "sdb", "worklink", "iotanalytics", "iotevents"},
    "aws_batch_compute_environment": {"compute_environment_name", "compute_environment_name_prefix"},
    "aws_batch_job_queue": {"compute_environments"},
    "aws_api_gateway_account": {"reset_on_delete"},
    "aws_api_gateway_deployment": {"canary_settings", "stage_description", "stage_name"},
    "aws_dms_endpoint": {"s3_settings"},
    "aws_ecs_task_definition": {"inference_accelerator"},
    "aws_ecs_task_execution": {"inference_accelerator_overrides"},
    "aws_eip": {"vpc"},
    "aws_eks_addon": {"resolve_conflicts"},
    "aws_flow_log": {"log_group_name"},
    "aws_instance": {"cpu_core_count", "cpu_threads_per_core"},
    "aws_launch_template": {"elastic_gpu_specifications", "elastic_inference_accelerator"},
    "aws_networkmanager_core_network": {"base_policy_region"},
    "aws_redshift_cluster": {"cluster_public_key", "logging", "snapshot_copy"},
    "aws_sagemaker_notebook_instance": {"accelerator_types"},
    "aws_spot_instance_request": {"block_duration_minutes"},
    "aws_ssm_association": {"instance_id"},
    # Without an owner or an id it is an error now, and no warning any more.
    "aws_ami": {"most_recent"},
}
# What means something else now, or is deprecated: every resource has a region of its own.
READ = {
    "the region by `name`": re.compile(r"data\.aws_region\.\w+(\[\d\])?\.(name|id)\b"),
    "a bucket's `region`": re.compile(r"aws_s3_bucket\.\w+(\[[^]]+\])?\.region\b"),
}
# Booleans that are strings to the provider take "", true and false only.
BOOLEANS = {
    "aws_imagebuilder_image_recipe": {"delete_on_termination", "encrypted"},
    "aws_launch_template": {"associate_public_ip_address", "delete_on_termination", "ebs_optimized", "encrypted"},
}
BLOCK = re.compile(
    r'^(?:resource|data) "(\w+)" "\w+" \{$(.*?)^\}$|^provider "aws"( )\{$(.*?)^\}$', re.MULTILINE | re.DOTALL
)


def problems(text: str) -> Iterator[str]:
    """What version 6 would not take in a file's text."""
    for kind, body, provider, settings in BLOCK.findall(text):
        name, content = ("*", settings) if provider else (kind, body)
        if GONE.fullmatch(name):
            yield f"{name} is gone"
        for argument in ARGUMENTS.get(name, set()):
            if re.search(rf'^\s+(?:dynamic "{argument}"|{argument})\s*[={{]', content, re.MULTILINE):
                yield f"{name} has no {argument}"
        for argument in BOOLEANS.get(name, set()):
            for value in re.findall(rf"^\s+{argument}\s*=\s*(.+)$", content, re.MULTILINE):
                if value not in {"true", "false"}:
                    yield f"{name} takes true or false for {argument}, and not {value}"
    yield from (f"reads {what}" for what, pattern in READ.items() if pattern.search(text))


def test_nothing_is_used_that_version_6_lacks():
    sources = [file for file in (ROOT / "terraform").rglob("*.tf") if not {".terraform", "tests"} & set(file.parts)]
    used = {match[0] for file in sources for match in BLOCK.findall(file.read_text())}
    # Else nothing would have been looked at.
    assert {"aws_ami", "aws_ecs_task_definition", "aws_eip", "aws_flow_log", "aws_launch_template"} <= used
    assert [f"{file.relative_to(ROOT)}: {problem}" for file in sources for problem in problems(file.read_text())] == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('resource "aws_opsworks_stack" "x" {\n  name = "x"\n}\n', "aws_opsworks_stack is gone"),
        ('resource "aws_eip" "x" {\n  vpc = true\n}\n', "aws_eip has no vpc"),
        ('resource "aws_flow_log" "x" {\n  log_group_name = "x"\n}\n', "aws_flow_log has no log_group_name"),
        (
            'resource "aws_launch_template" "x" {\n  dynamic "elastic_gpu_specifications" {\n  }\n}\n',
            "aws_launch_template has no elastic_gpu_specifications",
        ),
        ('data "aws_ami" "x" {\n  most_recent = true\n}\n', "aws_ami has no most_recent"),
        ('provider "aws" {\n  endpoints {\n    opsworks = "x"\n  }\n}\n', "* has no opsworks"),
        (
            'resource "aws_launch_template" "x" {\n  ebs_optimized = 1\n}\n',
            "aws_launch_template takes true or false for ebs_optimized, and not 1",
        ),
        ("locals {\n  region = data.aws_region.current.name\n}\n", "reads the region by `name`"),
        ('resource "aws_eip" "x" {\n  domain = "vpc"\n}\n', None),
        ("locals {\n  suffix = data.aws_partition.current.dns_suffix\n}\n", None),
    ],
)
def test_what_version_6_lacks_is_seen(text: str, problem: str | None):
    assert list(problems(text)) == ([problem] if problem else [])


@pytest.fixture(scope="module")
def types() -> dict[str, provider_schema.Schema]:
    found: dict[str, provider_schema.Schema] = json.loads(provider_schema.FILE.read_text())["types"]
    return found


def test_every_argument_block_and_attribute_is_in_its_schema(types: dict[str, provider_schema.Schema]):
    files = provider_schema.sources()
    assert len(files) > 40
    found = [
        f"{file.relative_to(ROOT)}: {one}"
        for file in files
        for one in provider_schema.differences(file.read_text(), types)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("text", "difference"),
    [
        ('resource "aws_eip" "x" {\n  vpc = true\n}\n', "aws_eip has no vpc"),
        ('resource "aws_kms_alias" "x" {\n  name = "alias/x"\n}\n', "aws_kms_alias needs target_key_id"),
        (
            'resource "aws_launch_template" "x" {\n  monitoring {\n    on = true\n  }\n}\n',
            "aws_launch_template.monitoring has no on",
        ),
        (
            (
                'resource "aws_launch_template" "x" {\n  dynamic "monitoring" {\n    for_each = [1]\n    content {\n'
                "      on = true\n    }\n  }\n}\n"
            ),
            "aws_launch_template.monitoring has no on",
        ),
        ('resource "aws_vpn_gateway" "x" {\n}\n', "aws_vpn_gateway is new: make provider_6.json anew"),
        ("locals {\n  x = aws_eip.x[0].ip\n}\n", "aws_eip has no ip to read"),
        ("locals {\n  x = data.aws_partition.current.suffix\n}\n", "data.aws_partition has no suffix to read"),
        ('resource "aws_eip" "x" {\n  domain = "vpc"\n}\nlocals {\n  x = aws_eip.x.public_ip\n}\n', None),
        # What README of modules/airflow tells to write beside it.
        (
            (
                'resource "aws_mwaa_environment" "x" {\n  dag_s3_path = ""\n  execution_role_arn = ""\n  name = ""\n'
                '  source_bucket_arn = ""\n  worker_replacement_strategy = "GRACEFUL"\n  network_configuration {\n'
                "    security_group_ids = []\n    subnet_ids = []\n  }\n}\n"
            ),
            None,
        ),
    ],
)
def test_a_difference_to_the_schema_is_seen(
    types: dict[str, provider_schema.Schema], text: str, difference: str | None
):
    assert list(provider_schema.differences(text, types)) == ([difference] if difference else [])


def test_the_schema_is_read_from_the_packages_own_form():
    text = """
class Thing(TerraformResource):
    @builtins.property
    @jsii.member(jsii_name="arn")
    def arn(self) -> str: ...
    @builtins.property
    def name_input(self) -> str: ...
    def reset_name(self) -> None: ...
class ThingBlock:
    def __init__(self, *, enabled: bool, size: typing.Optional[jsii.Number] = None) -> None: ...
class ThingConfig(TerraformMetaArguments):
    def __init__(
        self, *, count: int = 1, name: builtins.str,
        block: typing.Optional[typing.Union["ThingBlock", typing.Dict[builtins.str, typing.Any]]] = None,
    ) -> None: ...
"""
    assert provider_schema.read(text) == {
        "arguments": {
            "block": {"arguments": {"enabled": None, "size": None}, "required": ["enabled"]},
            "name": None,
        },
        "attributes": ["arn"],
        "required": ["name"],
    }


@pytest.mark.parametrize(
    ("service", "shape", "values"),
    [
        # Version 6 validates by the SDK's lists, which are generated from the same models as botocore's.
        (
            "ecs",
            "OSFamily",
            {f"WINDOWS_SERVER_{year}_{kind}" for year in (2019, 2022, 2025) for kind in ("CORE", "FULL")},
        ),
        ("mwaa", "WebserverAccessMode", {"PRIVATE_ONLY", "PUBLIC_ONLY", "PUBLIC_AND_PRIVATE"}),
        ("mwaa", "WorkerReplacementStrategy", {"GRACEFUL"}),
        ("autoscaling", "WarmPoolState", {"Hibernated", "Running", "Stopped"}),
        ("ec2", "VolumeType", {"gp3"}),
    ],
)
def test_what_variables_offer_is_what_the_services_list(service: str, shape: str, values: set[str]):
    listed = botocore.session.get_session().get_service_model(service).shape_for(shape).enum
    assert values <= set(listed)
