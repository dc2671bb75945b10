"""Images for Windows from whoever made them, run by ECS."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import sys
import tarfile
import uuid
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from backports import zstd

from emulator.ecs.windows import wine
from tests.contract import world
from tests.contract.world import push
from tests.emulated import emulating
from tests.waiting import wait_for

pytestmark = pytest.mark.slow

WINDOWS = {"runtimePlatform": {"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE", "cpuArchitecture": "X86_64"}}


def layer(*entries: tuple[str, bytes | str | None]) -> bytes:
    """A plain layer of files (bytes), hard links (text: to what) and folders (None)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in entries:
            member = tarfile.TarInfo(name)
            if content is None:
                member.type = tarfile.DIRTYPE
            elif isinstance(content, str):
                member.type, member.linkname = tarfile.LNKTYPE, content
            else:
                member.size = len(content)
            archive.addfile(member, io.BytesIO(content) if isinstance(content, bytes) else None)
    return buffer.getvalue()


def ended(cluster, reference, command, **container):
    """An ECS task of an image that came to its end, and what it said."""
    definition = cluster.define("", image=reference, command=command, **WINDOWS, **container)
    arn = cluster.start(definition)
    task = cluster.reach(arn, "STOPPED")
    return task, cluster.lines(arn)


def kit_pushed(cluster, kit, packed=gzip.compress):
    """The program of kit.c as an image by its own."""
    config = {"Entrypoint": ["kit.exe"], "WorkingDir": "C:\\app", "User": "ContainerUser", "Env": ["PATH=C:\\app"]}
    # Packed within one second, two would be the same image, which a registry takes once.
    config["Labels"] = {"of": uuid.uuid4().hex}
    made = packed(layer(("Files/app/kit.exe", Path(kit).read_bytes()), ("Files/app/data.txt", b"whole")))
    return push(cluster.ecr, cluster.repository, config, made, system="windows")


@pytest.mark.aws(
    does="An image for Windows runs by what it says of itself: its entry point, command, environment, user and folder.",
    source="https://docs.docker.com/reference/dockerfile/",
    sure="documented",
)
def test_an_ecs_task_runs_an_image_for_windows(windows_cluster, kit):
    config = {
        "Entrypoint": ["kit.exe", "words"],
        "Cmd": ["from the image"],
        "WorkingDir": "C:\\tools",
        "User": "ContainerUser",
        "Env": ["PATH=C:\\tools"],
    }
    made = layer(("Files", None), ("Files/tools", None), ("Files/tools/kit.exe", Path(kit).read_bytes()))
    image = push(windows_cluster.ecr, windows_cluster.repository, config, made, system="windows")
    task, lines = ended(windows_cluster, image, ["from ECS", 'a "b" %PATH% ü'])
    assert lines == ["[from ECS]", '[a "b" %PATH% ü]']
    assert task["containers"][0]["exitCode"] == 0
    assert task["stopCode"] == "EssentialContainerExited"


@pytest.mark.aws(
    does="Exit codes of Windows are told as numbers of 32 bits with a sign.",
    source="https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Container.html",
    sure="assumed",
)
def test_exit_codes_have_a_sign(windows_cluster, kit):
    config = {"Entrypoint": ["C:\\kit.exe"], "WorkingDir": "C:\\"}
    made = gzip.compress(layer(("Files/kit.exe", Path(kit).read_bytes())))
    image = push(windows_cluster.ecr, windows_cluster.repository, config, made, system="windows")
    assert ended(windows_cluster, image, ["crash"])[0]["containers"][0]["exitCode"] == 0xC0000005 - 2**32
    assert ended(windows_cluster, image, ["exit", "300"])[0]["containers"][0]["exitCode"] == 300


def test_a_layer_in_zstd_is_pulled_as_one_in_gzip(windows_cluster, kit):
    task, lines = ended(windows_cluster, kit_pushed(windows_cluster, kit, zstd.compress), ["type", "data.txt"])
    assert (task["containers"][0]["exitCode"], lines) == (0, ["whole"])


@pytest.mark.aws(
    does="RunTask's overrides reach a Windows container: its command, and environment over that of its definition.",
    source="https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerOverride.html",
    sure="documented",
)
def test_what_a_run_overrides_reaches_the_container(windows_cluster, kit):
    own = [{"name": "mine", "value": "definition"}, {"name": "kept", "value": "50% & ü"}]
    definition = windows_cluster.define(
        "", image=kit_pushed(windows_cluster, kit), command=["exit", "3"], environment=own, **WINDOWS
    )
    # Names of variables have no case on Windows.
    override = {"name": "main", "command": ["environment"], "environment": [{"name": "MINE", "value": "run"}]}
    arn = windows_cluster.start(definition, overrides={"containerOverrides": [override]})
    assert windows_cluster.reach(arn, "STOPPED")["containers"][0]["exitCode"] == 0
    found = {name.lower(): value for name, value in (line.split("=", 1) for line in windows_cluster.lines(arn))}
    assert (found["mine"], found["kept"]) == ("run", "50% & ü")


@pytest.mark.aws(
    does="StopTask ends a Windows container by an event for its processes; its exit code is its program's own.",
    source="https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_StopTask.html",
    sure="documented",
)
def test_stop_task_tells_the_program_which_may_clean_up(windows_cluster, kit):
    definition = windows_cluster.define(
        "", image=kit_pushed(windows_cluster, kit), command=["wait", "kit", "0", "143"], **WINDOWS
    )
    arn = windows_cluster.start(definition)
    wait_for(lambda: any("waits" in line for line in said(windows_cluster, arn)))
    windows_cluster.ecs.stop_task(cluster=windows_cluster.name, task=arn, reason="enough")
    task = windows_cluster.reach(arn, "STOPPED")
    assert (task["stopCode"], task["stoppedReason"]) == ("UserInitiated", "enough")
    assert task["containers"][0]["exitCode"] == 143
    assert windows_cluster.lines(arn)[1:] == ["kit told 6", "kit ends 143"]


def test_a_container_is_told_where_its_roles_credentials_are(windows_cluster, kit):
    trusted = {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [trusted]})
    role = windows_cluster.iam.create_role(RoleName="windows-task", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    _, lines = ended(windows_cluster, kit_pushed(windows_cluster, kit), ["environment"], taskRoleArn=role)
    found = dict(line.split("=", 1) for line in lines)
    assert found["AWS_EXECUTION_ENV"] == "AWS_ECS_EC2"
    assert found["ECS_CONTAINER_METADATA_URI_V4"].startswith("http://")
    assert found.keys() & {"AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"}
    assert not found.keys() & {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}


def test_a_lost_host_takes_its_windows_containers_along(windows_cluster, windows_emulator, kit):
    definition = windows_cluster.define("", image=kit_pushed(windows_cluster, kit), command=["wait", "kit"], **WINDOWS)
    arn = windows_cluster.start(definition)
    wait_for(lambda: any("waits" in line for line in said(windows_cluster, arn)))
    host = windows_cluster.instances()[0]["ec2InstanceId"]
    fault = json.dumps({"kind": "lose-instance", "instance": host}).encode()
    urlopen(Request(f"{windows_emulator.endpoint}/_emulator/faults", data=fault, method="POST")).close()
    assert host in windows_cluster.reach(arn, "STOPPED")["stoppedReason"]
    wait_for(lambda: [item["ec2InstanceId"] for item in windows_cluster.instances()] not in ([], [host]))


def test_where_wine_is_missing_an_ecs_task_says_how_to_get_it(windows, kit, tmp_path):
    """The programs that the emulator itself needs are there; the compiler for Windows, by which it knows, is not."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("cp", "sh", "setpriv"):
        if found := shutil.which(name):
            (programs / name).symlink_to(found)
    environ = {**os.environ, "PATH": os.pathsep.join([str(programs), str(Path(sys.executable).parent)])}
    quick = ("--instance-seconds", "0.2", "--terminate-seconds", "0.2")
    with emulating(tmp_path / "emulator", *quick, environ=environ) as emulator:
        cluster = world.Cluster(lambda service: world.client(emulator.endpoint, service), "bare")
        cluster.scale(1)
        definition = cluster.define("", image=kit_pushed(cluster, kit), command=["exit", "0"], **WINDOWS)
        task = cluster.reach(cluster.start(definition), "STOPPED")
        assert task["stopCode"] == "TaskFailedToStart"
        assert task["stoppedReason"].startswith("CannotPullContainerError")
        assert task["stoppedReason"].endswith(wine.HOW_TO_GET)
        cluster.remove()


def said(cluster, arn):
    """What an ECS task has said so far; nothing before it has a log."""
    try:
        return cluster.lines(arn)
    except cluster.logs.exceptions.ResourceNotFoundException:
        return []
