"""A whole image: built from a Dockerfile, pushed to a real registry, pulled again and unpacked, without an engine."""

import gzip
import io
import json
import shutil
import tarfile

import boto3
import httpx
import pytest
from moto import mock_aws

from scripts.core.console import Step, Steps
from scripts.core.errors import ImageError
from scripts.core.settings import ROOT
from scripts.windows import image, staging
from scripts.windows.dockerfile import read as read_dockerfile
from scripts.windows.registry import digest_of
from winbatch import spec

from .conftest import DOCKERFILE, PYTHON_FILES, put_base, write, zipped


@pytest.fixture
def base(checkout, microsoft):
    """A base image for Windows Server 2022, which the workload's Dockerfile names."""
    digest = put_base(microsoft)
    name = f"{microsoft}/windows/servercore:ltsc2022"
    dockerfile(checkout, name, digest)
    return digest


def dockerfile(checkout, base, digest):
    text = DOCKERFILE.format(zeros="0" * 64, base=base, digest=digest)
    (checkout / "images" / "mine" / "Dockerfile").write_text(text)


@pytest.fixture
def repository(aws):
    """A new repository of the registry that wants an authorization, as boto3's token is one."""
    with mock_aws():
        ecr = boto3.client("ecr", region_name="eu-central-1", aws_access_key_id="a", aws_secret_access_key="b")
        found = image.ecr_repository(ecr, f"{aws}/winbatch-dev/mine")
        ecr.close()
    with found:
        yield found


def pull(host, name, reference):
    """What a client that knows nothing of ours gets."""
    headers = {"Authorization": "anything", "Accept": "application/vnd.oci.image.manifest.v1+json"}
    with httpx.Client(base_url=f"http://{host}/v2/{name}/", headers=headers, trust_env=False) as client:
        answer = client.get(f"manifests/{reference}").raise_for_status()
        manifest = answer.json()
        blobs = {}
        for entry in (manifest["config"], *manifest["layers"]):
            content = client.get(f"blobs/{entry['digest']}").raise_for_status().content
            assert (digest_of(content), len(content)) == (entry["digest"], entry["size"])
            blobs[entry["digest"]] = content
    return manifest, blobs


def unpack(layer):
    """The files of a layer below `Files`, and the entries by name."""
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        entries = {entry.name: entry for entry in tar}
        files = {name: tar.extractfile(entry).read() for name, entry in entries.items() if entry.isfile()}
    assert list(entries)[:2] == ["Hives", "Files"]
    assert all(name in {"Hives", "Files"} or name.startswith("Files/") for name in entries)
    return {name.removeprefix("Files/"): content for name, content in files.items()}, entries


def test_what_is_pulled_is_what_was_laid_out(settings, checkout, base, microsoft, aws, repository, tmp_path):
    built = image.build(settings, "mine", Steps())
    step = Step("push")
    assert image.push(built, repository, step)
    assert not image.push(built, repository, step)

    manifest, blobs = pull(aws, "winbatch-dev/mine", built.tag)
    assert pull(aws, "winbatch-dev/mine", built.digest)[0] == manifest
    config = json.loads(blobs[manifest["config"]["digest"]])
    assert {name: config[name] for name in ("os", "architecture", "os.version")} == {
        "os": "windows",
        "architecture": "amd64",
        "os.version": "10.0.20348.5499",
    }
    labels = config["config"].pop("Labels")
    assert set(labels) >= {"org.opencontainers.image.created"}
    assert config["config"] == {
        "Entrypoint": ["C:\\python\\python.exe", "-u", "-m", "winbatch.worker"],
        "Env": ["A=base", "PATH=C:\\python;C:\\Windows\\System32", "MODE=batch"],
        "User": "ContainerUser",
        "WorkingDir": "C:\\app",
    }
    # The base's layer, and one for each COPY: nothing of the Linux stage.
    assert len(manifest["layers"]) == len(config["rootfs"]["diff_ids"]) == 4
    assert [entry["created_by"] for entry in config["history"]][1:] == [
        "COPY /stage/python/ /python/",
        "COPY /stage/packages/ /packages/",
        "COPY /stage/app/ /app/",
    ]
    assert {layer["mediaType"] for layer in manifest["layers"]} == {"application/vnd.oci.image.layer.v1.tar+gzip"}
    own = [blobs[layer["digest"]] for layer in manifest["layers"][1:]]
    assert [digest_of(gzip.decompress(layer)) for layer in own] == config["rootfs"]["diff_ids"][1:]

    staging.stage(
        checkout, "mine", tmp_path / "stage", cache=settings.cache, uv=image.uv.find(settings), progress=lambda _: None
    )
    found = {}
    for layer in own:
        files, _ = unpack(layer)
        assert not files.keys() & found.keys()
        found |= files
    laid_out = (path for path in (tmp_path / "stage").rglob("*") if path.is_file())
    assert found == {path.relative_to(tmp_path / "stage").as_posix(): path.read_bytes() for path in laid_out}
    # What a workload needs is there: interpreter, worker, its code, its files, its packages.
    assert {f"python/{name}" for name in PYTHON_FILES} <= found.keys()
    assert found["python/python312._pth"] == b"python312.zip\n.\n..\\packages\n..\\app\nimport site\n"
    assert {
        "app/winbatch/worker.py",
        "app/mine/__init__.py",
        "app/deep/run.ps1",
        "packages/jmespath/__init__.py",
    } <= set(found)
    assert "packages/jmespath/__pycache__/__init__.cpython-312.pyc" in found
    assert not [name for name in found if name.endswith((".so", "RECORD")) or "/bin/" in name or "/test" in name]


def test_two_builds_have_the_same_digests(settings, checkout, base):
    first = image.build(settings, "mine", Steps())
    assert image.build(settings, "mine", Steps()) == first
    shutil.rmtree(first.folder)  # as after `make clean`, or on another machine
    second = image.build(settings, "mine", Steps())
    assert (second.digest, second.attestations) == (first.digest, first.attestations)
    before = json.loads(second.blob(second.digest).read_bytes())["layers"]
    (checkout / "images" / "mine" / "files" / "more").write_text("x")
    third = image.build(settings, "mine", Steps())
    assert third.digest != first.digest
    after = json.loads(third.blob(third.digest).read_bytes())["layers"]
    # Only what has changed is pushed and pulled again.
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, True, True, False]


def test_what_is_said_about_an_image_refers_to_it(settings, base, aws, repository):
    built = image.build(settings, "mine", Steps())
    image.push(built, repository, Step("push"))
    manifest, blobs = pull(aws, "winbatch-dev/mine", built.attestations)
    assert manifest["subject"]["digest"] == built.digest
    bodies = [json.loads(blobs[layer["digest"]]) for layer in manifest["layers"]]
    assert {body["subject"][0]["digest"]["sha256"] for body in bodies} == {built.digest.removeprefix("sha256:")}
    spdx, slsa = (body["predicate"] for body in bodies)
    versions = {package["name"]: package.get("versionInfo") for package in spdx["packages"]}
    assert versions["jmespath"][0].isdigit()
    assert {"mine", "python"} <= versions.keys()
    materials = {entry["uri"].rpartition("/")[2] for entry in slsa["buildDefinition"]["resolvedDependencies"]}
    assert {"python.zip", "servercore"} <= materials


def test_octaves_image_holds_octave_the_scripts_and_no_package_of_ours(settings, checkout, microsoft, site):
    shutil.copytree(ROOT / "images" / "ber-octave", checkout / "images" / "ber-octave")
    files, address = site
    files["/octave.zip"] = zipped({"octave-7/mingw64/bin/octave-cli.exe": b"MZ", "octave-7/HG-ID": b"1"})
    where = checkout / "images" / "ber-octave"
    described = (where / "workload.toml").read_text()
    (archive,) = staging.read(checkout, "ber-octave").archives
    described = described.replace(archive.url, f"{address}/octave.zip")
    (where / "workload.toml").write_text(
        described.replace(archive.sha256, digest_of(files["/octave.zip"]).removeprefix("sha256:"))
    )
    stage = read_dockerfile(where / "Dockerfile")
    base = f"{microsoft}/windows/server:ltsc2022@{put_base(microsoft, name='windows/server')}"
    text = (where / "Dockerfile").read_text()
    (where / "Dockerfile").write_text(text.replace(f"{stage.base}@{stage.digest}", base))

    built = image.build(settings, "ber-octave", Steps())
    manifest = json.loads(built.blob(built.digest).read_bytes())
    config = json.loads(built.blob(manifest["config"]["digest"]).read_bytes())["config"]
    path = dict(entry.split("=", 1) for entry in config["Env"])["PATH"].split(";")
    found = {}
    for layer in manifest["layers"][1:]:
        found |= unpack(gzip.decompress(built.blob(layer["digest"]).read_bytes()))[0]
    program = spec.load("ber-octave").stages[0].command[0]
    assert any(f"{folder}\\{program}.exe".removeprefix("C:\\").replace("\\", "/") in found for folder in path)
    assert found["octave/HG-ID"] == b"1"
    own = {name for name in found if name.startswith("app/") and not name.startswith("app/winbatch/")}
    assert own == {f"app/{file.name}" for file in (where / "files").iterdir()}
    assert "app/simulate.m" in own


@pytest.mark.parametrize(
    ("platform", "words"),
    [
        ({"version": "10.0.17763.1"}, r"is Windows 10\.0\.17763\.1, but the environment's instances run Server 2022"),
        ({"os": "linux"}, "has 0 images for windows/amd64"),
    ],
)
def test_a_base_for_something_else_is_refused(settings, checkout, microsoft, platform, words):
    dockerfile(checkout, f"{microsoft}/windows/servercore:x", put_base(microsoft, **platform))
    with pytest.raises(ImageError, match=words):
        image.build(settings, "mine", Steps())


def test_a_base_that_is_not_there_is_a_line(settings, checkout, microsoft):
    dockerfile(checkout, f"{microsoft}/windows/servercore:x", "sha256:" + "1" * 64)
    with pytest.raises(ImageError, match=r"servercore answers GET .* with 404: manifest unknown"):
        image.build(settings, "mine", Steps())


def test_an_archive_with_another_checksum_is_not_used(settings, checkout, base, site):
    write(checkout, "images/python.toml", url=f"{site[1]}/python.zip", sha256="0" * 64)
    with pytest.raises(ImageError, match=f"has SHA-256 .*, {'0' * 64} was expected"):
        image.build(settings, "mine", Steps())
    assert not list((settings.cache / "archives").iterdir())


def test_an_archive_that_cannot_be_fetched_can_be_put_there(settings, checkout, base, site):
    files, address = site
    content = files["/python.zip"]
    checksum = digest_of(content).removeprefix("sha256:")
    write(checkout, "images/python.toml", url=f"{address}/gone.zip", sha256=checksum)
    with pytest.raises(ImageError, match=r"HTTP Error 404: .*a copy of it may be put to ") as caught:
        image.build(settings, "mine", Steps())
    (settings.cache / "archives" / f"{checksum[:16]}-gone.zip").write_bytes(content)
    assert f"{checksum[:16]}-gone.zip" in str(caught.value)
    assert image.build(settings, "mine", Steps()).digest
