"""A container's files: its image's, its own, and gone with it."""

from __future__ import annotations

import io
import os
import py_compile
import signal
import sys
import tarfile
from pathlib import Path

import pytest

from tests.processes import unprivileged
from tests.waiting import wait_for

from . import world
from .world import layer, push

# A container reads its program, writes over it and beside it, and says what it found.
SPOIL = """
cat data.txt; ls
echo spoiled > data.txt; echo spoiled > main.sh; echo left > left.txt; rm -f gone.txt
rm -rf sub; mkdir new
"""


def entry(name, text="", *, mode=0o644, kind=tarfile.REGTYPE, link="", mtime=0):
    member = tarfile.TarInfo(name)
    data = text if isinstance(text, bytes) else text.encode()
    member.type, member.mode, member.linkname, member.mtime = kind, mode, link, mtime
    member.size = len(data)
    return member, data


def archive(*entries):
    """A plain layer of whatever a tar can hold."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for member, data in entries:
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def program(script):
    return entry("app/main.sh", f"#!/bin/sh\n{script}\n", mode=0o755)


def pushed(cluster, *layers):
    return push(cluster.ecr, cluster.repository, {"Entrypoint": ["./main.sh"], "WorkingDir": "/app"}, *layers)


def ended(cluster, definition):
    """What a container said that came to its end."""
    arn = cluster.start(definition)
    task = cluster.reach(arn, "STOPPED")
    assert task["containers"][0].get("exitCode") == 0, (task, cluster.lines(arn))
    return cluster.lines(arn)


@pytest.mark.aws(
    does="A container begins with its image's files, whatever another container of the image has written.",
    source="https://github.com/opencontainers/image-spec/blob/main/layer.md",
    sure="documented",
)
def test_a_container_sees_its_image_whatever_ran_before(cluster):
    cluster.scale(1)
    files = {
        "app/main.sh": f"#!/bin/sh\n{SPOIL}",
        "app/data.txt": "whole\n",
        "app/gone.txt": "",
        "app/sub/deep.txt": "",
    }
    definition = cluster.define("", image=pushed(cluster, layer(files)))
    first = ended(cluster, definition)
    assert first == ["whole", "data.txt", "gone.txt", "main.sh", "sub"]
    assert [ended(cluster, definition) for _ in range(2)] == [first, first]


def test_containers_at_once_do_not_see_each_other(cluster, tmp_path):
    cluster.scale(1)
    script = f"""
echo "$ME" > data.txt
touch {tmp_path}/$ME
while [ ! -e {tmp_path}/one ] || [ ! -e {tmp_path}/two ]; do sleep 0.02; done
cat data.txt
"""
    definition = cluster.define("", image=pushed(cluster, archive(program(script), entry("app/data.txt", "whole"))))
    arns = {
        name: cluster.start(
            definition,
            overrides={"containerOverrides": [{"name": "main", "environment": [{"name": "ME", "value": name}]}]},
        )
        for name in ("one", "two")
    }
    for name, arn in arns.items():
        cluster.reach(arn, "STOPPED")
        assert cluster.lines(arn) == [name]


@pytest.mark.aws(
    does="Containers of one ECS task have a file system each.",
    source="https://docs.aws.amazon.com/AmazonECS/latest/developerguide/using_data_volumes.html",
    sure="documented",
)
def test_two_containers_of_one_task_have_each_their_own(cluster, tmp_path):
    cluster.scale(1)
    # An essential container's end is the other one's: both say their word first.
    script = f"""
wait_for_both() {{
  mktemp {tmp_path}/XXXXXX > "$TMPDIR/name"
  while [ $(ls {tmp_path} | wc -l) -lt $1 ]; do sleep 0.02; done
}}
echo mine >> data.txt
wait_for_both 2
cat data.txt
wait_for_both 4
"""
    image = pushed(cluster, archive(program(script), entry("app/data.txt")))
    log = {"awslogs-group": cluster.name, "awslogs-region": world.REGION, "awslogs-stream-prefix": "p"}
    containers = [
        {
            "name": name,
            "image": image,
            "cpu": 64,
            "memory": 64,
            "logConfiguration": {"logDriver": "awslogs", "options": log},
        }
        for name in ("one", "two")
    ]
    definition = cluster.ecs.register_task_definition(family=cluster.name, containerDefinitions=containers)
    arn = cluster.start(definition["taskDefinition"]["taskDefinitionArn"])
    cluster.reach(arn, "STOPPED")
    assert [cluster.lines(arn, name) for name in ("one", "two")] == [["mine"], ["mine"]]


def test_an_image_with_read_only_folders_and_files_runs_and_is_laid_over(cluster):
    """A container's user is root where an image names none, and root may write all of it."""
    cluster.scale(1)
    folder = {"mode": 0o555, "kind": tarfile.DIRTYPE}
    lower = archive(
        entry("app", **folder),
        entry("app/closed", **folder),
        entry("app/closed/file.txt", "lower", mode=0o400),
        entry("app/linked.txt", "lower", mode=0o444),
        entry("app/other.txt", kind=tarfile.LNKTYPE, link="app/linked.txt"),
        entry("app/away.txt", "lower", mode=0o444),
        entry("app/secret.txt", "lower", mode=0o000),
        entry("app/pipe", kind=tarfile.FIFOTYPE),
        entry("app/pointer", kind=tarfile.SYMTYPE, link="linked.txt"),
    )
    script = "cat closed/file.txt linked.txt other.txt secret.txt pointer; echo; ls; touch closed/new && ls closed"
    upper = archive(
        program(script),
        entry("app/closed/file.txt", "upper"),
        entry("app/linked.txt", "upper"),
        entry("app/.wh.away.txt"),
    )
    definition = cluster.define("", image=pushed(cluster, lower, upper))
    said = ["upperupperlowerlowerupper", "closed", "linked.txt", "main.sh", "other.txt", "pointer", "secret.txt"]
    assert [ended(cluster, definition) for _ in range(2)] == [[*said, "file.txt", "new"]] * 2


@pytest.mark.parametrize(
    "members",
    [
        [entry("../../outside.txt", "x")],
        [entry("out", kind=tarfile.SYMTYPE, link="{outside}")],
    ],
    ids=["name", "link"],
)
def test_an_image_cannot_reach_out_of_itself(cluster, tmp_path, members):
    cluster.scale(1)
    (tmp_path / "kept.txt").write_text("kept")
    layers = []
    for member, data in members:
        member.linkname = member.linkname.format(outside=tmp_path)
        layers.append(archive((member, data)))
    layers.append(archive(program("true"), entry("out/.wh.kept.txt"), entry("out/new.txt", "x")))
    task = cluster.reach(cluster.start(cluster.define("", image=pushed(cluster, *layers))), "STOPPED")
    assert "leads out of the image" in task["stoppedReason"]
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]


def test_compiled_code_of_an_image_is_used(cluster, tmp_path):
    """Python takes compiled code by its source's time and length, so a copy must keep both."""
    cluster.scale(1)
    source = tmp_path / "module.py"
    source.write_text("SAID = 'source'")
    os.utime(source, (1_000_000_000, 1_000_000_000))
    (tmp_path / "other.py").write_text("SAID = 'cached'")
    os.utime(tmp_path / "other.py", (1_000_000_000, 1_000_000_000))
    compiled = Path(str(py_compile.compile(str(tmp_path / "other.py"))))
    image = pushed(
        cluster,
        archive(
            program(f"exec {sys.executable} -c 'import module; print(module.SAID)'"),
            entry("app/module.py", source.read_bytes(), mtime=1_000_000_000),
            entry(f"app/__pycache__/{compiled.name.replace('other', 'module')}", compiled.read_bytes()),
        ),
    )
    assert ended(cluster, cluster.define("", image=image)) == ["cached"]


@pytest.mark.aws(
    does="What a container wrote is removed with it.",
    source="https://docs.aws.amazon.com/AmazonECS/latest/developerguide/automated_image_cleanup.html",
    sure="documented",
)
def test_what_a_container_wrote_is_gone_when_it_is_stopped_and_when_its_emulator_was_killed(
    own_emulator, unique, tmp_path
):
    """As on ECS, where a container's writable layer is removed with it: also what is read-only, and not as root."""
    folder = tmp_path / "emulator"
    emulator = own_emulator(folder=folder, under=unprivileged())
    tasks = emulator.state / "tasks"
    cluster = world.Cluster(lambda service: world.client(emulator.endpoint, service), unique)
    cluster.scale(1)
    script = """
for folder in . "$HOME" "$TMPDIR"; do mkdir -p "$folder/a/b"; touch "$folder/a/b/c"; chmod -R a-w "$folder/a"; done
touch ready; [ -z "$STAY" ] || sleep 600
"""
    definition = cluster.define(script)
    cluster.reach(cluster.start(definition), "STOPPED")
    assert not list(tasks.iterdir())

    stay = {"name": "main", "environment": [{"name": "STAY", "value": "yes"}]}
    cluster.start(definition, overrides={"containerOverrides": [stay]})
    wait_for(lambda: list(tasks.rglob("ready")))
    emulator.process.send_signal(signal.SIGKILL)
    emulator.process.wait()
    assert len(list(tasks.rglob("a/b/c"))) == 3
    again = own_emulator(folder=folder, under=unprivileged())
    assert not [path for name in ("tasks", "images") for path in (again.state / name).rglob("*")]
