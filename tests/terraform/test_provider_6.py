"""Nothing is used that version 6 of the AWS provider removed, renamed or reads differently.

After the changelog of 6.0.0 ("Breaking changes" and "Notes"), for the types that this code could come to use.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

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
