"""Images for Windows from whoever made them, run by ECS."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from tests.contract.world import push

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
