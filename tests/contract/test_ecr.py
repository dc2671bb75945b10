"""ECR's layer API and images by digest."""

from __future__ import annotations

import json
from urllib.request import urlopen

import pytest
from botocore.exceptions import ClientError

from .world import MANIFEST, digest_of, layer, push, push_blob


@pytest.fixture
def ecr(client):
    return client("ecr")


@pytest.fixture
def repository(ecr, unique):
    ecr.create_repository(repositoryName=unique)
    yield unique
    ecr.delete_repository(repositoryName=unique, force=True)


def refused(code):
    return pytest.raises(ClientError, match=code)


@pytest.mark.on_aws
@pytest.mark.aws(
    does="An image is found by tag and by the SHA-256 digest of its manifest, and its layers by presigned URLs.",
    source="https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_BatchGetImage.html",
    sure="documented",
)
def test_an_image_is_what_was_pushed(ecr, repository):
    data = layer({"app/main.sh": "#!/bin/sh"})
    reference = push(ecr, repository, {"Entrypoint": ["./main.sh"]}, data, tag="v1")
    digest = reference.partition("@")[2]

    by_tag = ecr.batch_get_image(repositoryName=repository, imageIds=[{"imageTag": "v1"}])["images"][0]
    by_digest = ecr.batch_get_image(repositoryName=repository, imageIds=[{"imageDigest": digest}])["images"][0]
    assert by_tag["imageManifest"] == by_digest["imageManifest"]
    assert digest_of(by_digest["imageManifest"].encode()) == digest
    pushed = json.loads(by_digest["imageManifest"])["layers"][0]["digest"]
    url = ecr.get_download_url_for_layer(repositoryName=repository, layerDigest=pushed)["downloadUrl"]
    with urlopen(url) as answer:
        assert answer.read() == data


@pytest.mark.on_aws
@pytest.mark.aws(
    does="CompleteLayerUpload with a digest that is not the layer's is an InvalidLayerException.",
    source="https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CompleteLayerUpload.html",
    sure="documented",
)
def test_a_layer_is_checked_against_its_digest(ecr, repository):
    upload = ecr.initiate_layer_upload(repositoryName=repository)["uploadId"]
    ecr.upload_layer_part(
        repositoryName=repository, uploadId=upload, partFirstByte=0, partLastByte=2, layerPartBlob=b"abc"
    )
    with refused("InvalidLayerException"):
        ecr.complete_layer_upload(repositoryName=repository, uploadId=upload, layerDigests=[digest_of(b"abd")])
    missing = ecr.batch_check_layer_availability(repositoryName=repository, layerDigests=[digest_of(b"abc")])
    assert missing["failures"][0]["failureCode"] == "MissingLayerDigest"


@pytest.mark.on_aws
@pytest.mark.aws(
    does=(
        "A layer part that does not follow the one before, or has not its own length, is an InvalidLayerPartException."
    ),
    source="https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_UploadLayerPart.html",
    sure="documented",
)
def test_parts_come_in_order(ecr, repository):
    upload = ecr.initiate_layer_upload(repositoryName=repository)["uploadId"]
    with refused("InvalidLayerPartException"):
        ecr.upload_layer_part(
            repositoryName=repository, uploadId=upload, partFirstByte=3, partLastByte=5, layerPartBlob=b"def"
        )
    with refused("InvalidLayerPartException"):
        ecr.upload_layer_part(
            repositoryName=repository, uploadId=upload, partFirstByte=0, partLastByte=5, layerPartBlob=b"abc"
        )


@pytest.mark.on_aws
@pytest.mark.aws(
    does=(
        "CompleteLayerUpload without a part is an EmptyUploadException, of a layer that is there a "
        "LayerAlreadyExistsException."
    ),
    source="https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CompleteLayerUpload.html",
    sure="documented",
)
def test_an_empty_upload_and_a_layer_that_is_there_are_refused(ecr, repository):
    upload = ecr.initiate_layer_upload(repositoryName=repository)["uploadId"]
    with refused("EmptyUploadException"):
        ecr.complete_layer_upload(repositoryName=repository, uploadId=upload, layerDigests=[digest_of(b"")])

    push_blob(ecr, repository, b"once")
    upload = ecr.initiate_layer_upload(repositoryName=repository)["uploadId"]
    ecr.upload_layer_part(
        repositoryName=repository, uploadId=upload, partFirstByte=0, partLastByte=3, layerPartBlob=b"once"
    )
    with refused("LayerAlreadyExistsException"):
        ecr.complete_layer_upload(repositoryName=repository, uploadId=upload, layerDigests=[digest_of(b"once")])


@pytest.mark.on_aws
@pytest.mark.aws(
    does="PutImage with a layer that was not uploaded is a LayersNotFoundException.",
    source="https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_PutImage.html",
    sure="documented",
)
def test_an_image_needs_its_layers(ecr, repository):
    blob = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest_of(b"x"), "size": 1}
    manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": blob, "layers": []})
    with refused("LayersNotFoundException"):
        ecr.put_image(repositoryName=repository, imageManifest=manifest)


@pytest.mark.on_aws
@pytest.mark.aws(
    does="A repository that does not exist is a RepositoryNotFoundException.",
    source="https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_PutImage.html",
    sure="documented",
)
def test_a_repository_that_does_not_exist_is_not_found(ecr, unique):
    with refused("RepositoryNotFoundException"):
        ecr.put_image(repositoryName=unique, imageManifest="{}", imageTag="x")


@pytest.mark.on_aws
@pytest.mark.aws(
    does="PutImage of what is there, tag and all, is an ImageAlreadyExistsException.",
    source="https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_PutImage.html",
    sure="documented",
)
def test_the_same_image_twice_is_refused(ecr, repository):
    push(ecr, repository, {}, layer({"a": "1"}))
    with refused("ImageAlreadyExistsException"):
        push(ecr, repository, {}, layer({"a": "1"}))


@pytest.mark.on_aws
@pytest.mark.aws(
    does="A tag of a repository with immutable tags cannot be given to another image.",
    source="https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_PutImage.html",
    sure="documented",
)
def test_an_immutable_tag_stays(ecr, repository):
    ecr.put_image_tag_mutability(repositoryName=repository, imageTagMutability="IMMUTABLE")
    push(ecr, repository, {"Cmd": ["1"]}, tag="v1")
    with refused("ImageTagAlreadyExistsException"):
        push(ecr, repository, {"Cmd": ["2"]}, tag="v1")


@pytest.mark.aws(
    does="A layer's files hide those below, and a `.wh.` file removes one.",
    source="https://github.com/opencontainers/image-spec/blob/main/layer.md",
    sure="documented",
)
def test_a_layer_above_hides_and_removes_files_of_those_below(cluster):
    cluster.scale(1)
    script = "#!/bin/sh\nls /"
    below = layer({"app/main.sh": "#!/bin/sh\nls data old 2>&1; cat data/a", "app/data/a": "1", "app/old/b": "1"})
    above = layer({"app/data/a": "2", "app/.wh.old": "", "app/data/c": script})
    image = push(cluster.ecr, cluster.repository, {"Entrypoint": ["./main.sh"], "WorkingDir": "/app"}, below, above)
    arn = cluster.start(cluster.define("", image=image))
    cluster.reach(arn, "STOPPED")
    lines = cluster.lines(arn)
    assert "2" in lines
    assert "c" in lines
    assert "b" not in lines
    assert any("old" in line and "No such file" in line for line in lines)
