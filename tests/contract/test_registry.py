"""ECR as a registry: what Docker, skopeo and their kind say to it, in plain HTTP."""

from __future__ import annotations

import base64
import http.client
import json
import re
from urllib.parse import urlsplit
from urllib.request import urlopen

import boto3
import pytest
from botocore.exceptions import ClientError

from .world import ACCOUNT, MANIFEST, REGION, digest_of, layer

SPEC = "https://github.com/opencontainers/distribution-spec/blob/main/spec.md"
GUIDE = "https://docs.aws.amazon.com/AmazonECR/latest/userguide"
CONFIG = b'{"architecture":"amd64","os":"windows","config":{}}'


class Client:
    """Speaks to a registry with a password; `ask` gives status, headers and body."""

    def __init__(self, endpoint, password):
        self.address = urlsplit(endpoint).netloc
        self.headers = {"Authorization": f"Basic {password}"} if password else {}

    def ask(self, method, path, body=b"", **headers):
        connection = http.client.HTTPConnection(self.address)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, {**self.headers, **given})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, answer.headers, content

    def error(self, *asked, **headers):
        status, _, body = self.ask(*asked, **headers)
        (error,) = json.loads(body)["errors"]
        return status, error["code"], error["message"]

    def push_blob(self, repository, data):
        status, headers, _ = self.ask("POST", f"/v2/{repository}/blobs/uploads/")
        assert status == 202
        status, headers, _ = self.ask("PATCH", headers["Location"], data)
        assert (status, headers["Range"]) == (202, f"0-{len(data) - 1}")
        status, headers, _ = self.ask("PUT", f"{headers['Location']}?digest={digest_of(data)}")
        assert (status, headers["Docker-Content-Digest"]) == (201, digest_of(data))
        return {"digest": digest_of(data), "size": len(data)}

    def push(self, repository, reference, *layers):
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": {
                    "mediaType": "application/vnd.oci.image.config.v1+json",
                    **self.push_blob(repository, CONFIG),
                },
                "layers": [
                    {
                        "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                        **self.push_blob(repository, data),
                    }
                    for data in layers
                ],
            }
        ).encode()
        path = f"/v2/{repository}/manifests/{reference}"
        return manifest, self.ask("PUT", path, manifest, Content_Type=MANIFEST)


def document(statement):
    return {"Version": "2012-10-17", "Statement": [statement]}


@pytest.fixture
def ecr(client):
    return client("ecr")


@pytest.fixture
def repository(ecr, unique):
    name = f"{unique}/work"
    ecr.create_repository(repositoryName=name)
    yield name
    ecr.delete_repository(repositoryName=name, force=True)


@pytest.fixture
def registry(ecr, endpoint):
    token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    assert base64.b64decode(token).startswith(b"AWS:")
    return Client(endpoint, token)


@pytest.mark.aws(
    does="The registry wants Basic authentication with the password of GetAuthorizationToken.",
    source=f"{GUIDE}/registry_auth.html",
    sure="documented",
)
def test_who_has_no_password_is_told_how_to_get_in(endpoint, registry):
    assert registry.ask("GET", "/v2/")[0] == 200
    for password in ("", base64.b64encode(b"AWS:guess").decode()):
        status, headers, body = Client(endpoint, password).ask("GET", "/v2/")
        assert status == 401
        assert headers["WWW-Authenticate"].startswith("Basic realm=")
        assert json.loads(body)["errors"][0]["code"] == "UNAUTHORIZED"


@pytest.mark.aws(
    does="An image that is pushed by the registry is the one that the API shows, and the other way round.",
    source=f"{SPEC}#push; {GUIDE}/docker-push-ecr-image.html",
    sure="documented",
)
def test_an_image_is_pushed_and_pulled(ecr, registry, repository):
    data = layer({"app/main.sh": "#!/bin/sh"})
    manifest, (status, headers, _) = registry.push(repository, "v1", data)
    digest = digest_of(manifest)
    assert (status, headers["Docker-Content-Digest"]) == (201, digest)

    (image,) = ecr.batch_get_image(repositoryName=repository, imageIds=[{"imageTag": "v1"}])["images"]
    assert (image["imageManifest"].encode(), image["imageId"]["imageDigest"]) == (manifest, digest)
    for reference in ("v1", digest):
        status, headers, body = registry.ask("GET", f"/v2/{repository}/manifests/{reference}")
        assert (status, headers["Content-Type"], body) == (200, MANIFEST, manifest)
        status, headers, body = registry.ask("HEAD", f"/v2/{repository}/manifests/{reference}")
        assert (status, headers["Content-Length"], headers["Docker-Content-Digest"], body) == (
            200,
            str(len(manifest)),
            digest,
            b"",
        )
    blob = f"/v2/{repository}/blobs/{digest_of(data)}"
    status, headers, _ = registry.ask("HEAD", blob)
    assert (status, headers["Content-Length"]) == (200, str(len(data)))
    # The same again is no fault.
    assert registry.push(repository, "v1", data)[1][0] == 201


@pytest.mark.aws(
    does="A layer's content is at an address of S3's, to which the registry sends its clients.",
    source=f"{GUIDE}/vpc-endpoints.html, on the bucket of layers",
    sure="documented",
)
def test_a_layer_is_elsewhere(registry, repository):
    data = layer({"a": "1"})
    registry.push_blob(repository, data)
    status, headers, _ = registry.ask("GET", f"/v2/{repository}/blobs/{digest_of(data)}")
    assert status == 307
    with urlopen(headers["Location"]) as answer:
        assert answer.read() == data


@pytest.mark.aws(
    does="A blob comes in chunks in their order, or with its first request; its digest must be right.",
    source=f"{SPEC}#pushing-a-blob-in-chunks",
    sure="documented",
)
def test_a_blob_comes_in_chunks(registry, repository):
    location = registry.ask("POST", f"/v2/{repository}/blobs/uploads/")[1]["Location"]
    assert registry.ask("PATCH", location, b"abc", Content_Range="0-2")[0] == 202
    assert registry.ask("PATCH", location, b"xyz", Content_Range="0-2")[0] == 416
    status, headers, _ = registry.ask("GET", location)
    assert (status, headers["Range"]) == (204, "0-2")
    assert registry.error("PUT", f"{location}?digest={digest_of(b'abd')}")[:2] == (400, "DIGEST_INVALID")
    assert registry.ask("PUT", f"{location}?digest={digest_of(b'abcdef')}", b"def")[0] == 201
    assert registry.error("PATCH", location, b"more")[:2] == (404, "BLOB_UPLOAD_UNKNOWN")

    monolithic = f"/v2/{repository}/blobs/uploads/?digest={digest_of(b'once')}"
    assert registry.ask("POST", monolithic, b"once")[0] == 201


@pytest.mark.aws(
    does="A blob is mounted from another repository where PutAccountSetting allows it, and is uploaded else.",
    source=f"{GUIDE}/blob-mounting.html",
    sure="documented",
)
def test_a_blob_is_mounted(ecr, registry, repository, unique):
    other = f"{unique}/other"
    ecr.create_repository(repositoryName=other)
    data = registry.push_blob(repository, b"shared")
    mount = f"/v2/{other}/blobs/uploads/?mount={data['digest']}&from={repository}"
    assert registry.ask("POST", mount)[0] == 202
    assert ecr.get_account_setting(name="BLOB_MOUNTING")["value"] == "DISABLED"
    ecr.put_account_setting(name="BLOB_MOUNTING", value="ENABLED")
    status, headers, _ = registry.ask("POST", mount)
    ecr.put_account_setting(name="BLOB_MOUNTING", value="DISABLED")
    assert (status, headers["Docker-Content-Digest"]) == (201, data["digest"])
    assert registry.ask("HEAD", f"/v2/{other}/blobs/{data['digest']}")[0] == 200
    with pytest.raises(ClientError):
        ecr.put_account_setting(name="NONE", value="ENABLED")


@pytest.mark.aws(
    does="An immutable tag is refused as TAG_INVALID.",
    source=f"{GUIDE}/image-tag-mutability.html; people's reports of `tag invalid`",
    sure="reported",
)
def test_an_immutable_tag_stays(ecr, registry, unique):
    name = f"{unique}/fixed"
    ecr.create_repository(repositoryName=name, imageTagMutability="IMMUTABLE")
    assert registry.push(name, "v1", b"one")[1][0] == 201
    _, (status, _, body) = registry.push(name, "v1", b"two")
    (error,) = json.loads(body)["errors"]
    assert (status, error["code"]) == (400, "TAG_INVALID")
    assert re.search("image tag 'v1' already exists in the .* repository and cannot be overwritten", error["message"])


@pytest.mark.aws(
    does="Tags are listed in order and in pages.",
    source=f"{SPEC}#listing-tags",
    sure="documented",
)
def test_tags_are_listed(registry, repository):
    for number, tag in enumerate(("c", "a", "b")):
        registry.push(repository, tag, f"layer {number}".encode())
    status, headers, body = registry.ask("GET", f"/v2/{repository}/tags/list?n=2")
    assert (status, json.loads(body)) == (200, {"name": repository, "tags": ["a", "b"]})
    assert headers["Link"].endswith('; rel="next"')
    rest = registry.ask("GET", headers["Link"].partition("<")[2].partition(">")[0])[2]
    assert json.loads(rest)["tags"] == ["c"]


@pytest.mark.aws(
    does="What is not there is NAME_UNKNOWN, MANIFEST_UNKNOWN or BLOB_UNKNOWN; blobs are not deleted: UNSUPPORTED.",
    source=f"{SPEC}#error-codes",
    sure="documented",
)
def test_what_is_not_there(registry, repository):
    none = digest_of(b"none")
    status, code, message = registry.error("GET", "/v2/nobody/s/manifests/v1")
    assert (status, code) == (404, "NAME_UNKNOWN")
    assert message == "The repository with name 'nobody/s' does not exist in the registry with id '123456789012'"
    assert registry.error("GET", f"/v2/{repository}/manifests/v1")[:2] == (404, "MANIFEST_UNKNOWN")
    assert registry.error("GET", f"/v2/{repository}/blobs/{none}")[:2] == (404, "BLOB_UNKNOWN")
    assert registry.error("DELETE", f"/v2/{repository}/manifests/v1")[:2] == (404, "MANIFEST_UNKNOWN")
    assert registry.error("DELETE", f"/v2/{repository}/blobs/{none}")[:2] == (405, "UNSUPPORTED")
    manifest = json.dumps({"schemaVersion": 2, "config": {"digest": none, "size": 1}, "layers": []}).encode()
    asked = ("PUT", f"/v2/{repository}/manifests/v1", manifest)
    assert registry.error(*asked, Content_Type=MANIFEST)[:2] == (404, "BLOB_UNKNOWN")
    assert registry.error(*asked[:2], b"{", Content_Type=MANIFEST)[:2] == (400, "MANIFEST_INVALID")


@pytest.mark.aws(
    does="DELETE of a manifest by its digest removes the image and its tags, by a tag the tag.",
    source=f"{GUIDE}/image-artifact-delete.html; {SPEC}#content-management",
    sure="documented",
)
def test_an_image_is_deleted_by_the_registry(ecr, registry, repository):
    digest = digest_of(registry.push(repository, "v1", b"layer")[0])
    registry.push(repository, "v2", b"layer")
    assert registry.ask("DELETE", f"/v2/{repository}/manifests/v2")[0] == 202
    (image,) = ecr.describe_images(repositoryName=repository)["imageDetails"]
    assert (image["imageDigest"], image["imageTags"]) == (digest, ["v1"])
    assert registry.ask("DELETE", f"/v2/{repository}/manifests/{digest}")[0] == 202
    assert registry.error("GET", f"/v2/{repository}/manifests/v1")[:2] == (404, "MANIFEST_UNKNOWN")
    assert ecr.list_images(repositoryName=repository)["imageIds"] == []


@pytest.mark.aws(
    does=(
        "Manifests that name an image as their subject are listed as its referrers, all or by artifactType; their push "
        "is answered with OCI-Subject."
    ),
    source=f"{GUIDE}/images.html; {SPEC}#listing-referrers",
    sure="documented",
)
def test_an_image_has_referrers(registry, repository):
    digest = digest_of(registry.push(repository, "v1", b"layer")[0])
    assert json.loads(registry.ask("GET", f"/v2/{repository}/referrers/{digest}")[2])["manifests"] == []
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": "application/spdx+json",
            "config": {"mediaType": "application/vnd.oci.empty.v1+json", **registry.push_blob(repository, b"{}")},
            "layers": [{"mediaType": "application/spdx+json", **registry.push_blob(repository, b'{"sbom": 1}')}],
            "subject": {"mediaType": MANIFEST, "digest": digest, "size": 1},
            "annotations": {"by": "a test"},
        }
    ).encode()
    put = registry.ask("PUT", f"/v2/{repository}/manifests/{digest_of(manifest)}", manifest, Content_Type=MANIFEST)
    assert (put[0], put[1]["OCI-Subject"]) == (201, digest)

    status, headers, body = registry.ask("GET", f"/v2/{repository}/referrers/{digest}")
    assert (status, headers["Content-Type"]) == (200, "application/vnd.oci.image.index.v1+json")
    (entry,) = json.loads(body)["manifests"]
    assert entry == {
        "mediaType": MANIFEST,
        "digest": digest_of(manifest),
        "size": len(manifest),
        "artifactType": "application/spdx+json",
        "annotations": {"by": "a test"},
    }
    for kind, count in (("application/spdx%2Bjson", 1), ("another/type", 0)):
        status, headers, body = registry.ask("GET", f"/v2/{repository}/referrers/{digest}?artifactType={kind}")
        assert (headers["OCI-Filters-Applied"], len(json.loads(body)["manifests"])) == ("artifactType", count)


@pytest.mark.aws(
    does="The registry asks IAM for the actions of whoever got the password, and says DENIED with IAM's words.",
    source=f"{GUIDE}/image-push-iam.html",
    sure="documented",
)
def test_the_registry_asks_iam(client, endpoint, registry, repository, unique):
    registry.push(repository, "v1", b"layer")
    iam, allowed = client("iam"), ["ecr:GetAuthorizationToken", "ecr:BatchGetImage", "ecr:InitiateLayerUpload"]
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
    role = iam.create_role(RoleName=unique, AssumeRolePolicyDocument=json.dumps(document(trust)))["Role"]["Arn"]
    policy = json.dumps(document({"Effect": "Allow", "Action": allowed, "Resource": "*"}))
    iam.put_role_policy(RoleName=unique, PolicyName="read", PolicyDocument=policy)
    session = client("sts").assume_role(RoleArn=role, RoleSessionName="reader")["Credentials"]
    ecr = boto3.client(
        "ecr",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=session["AccessKeyId"],
        aws_secret_access_key=session["SecretAccessKey"],
        aws_session_token=session["SessionToken"],
    )
    reader = Client(endpoint, ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"])

    assert reader.ask("GET", f"/v2/{repository}/manifests/v1")[0] == 200
    location = reader.ask("POST", f"/v2/{repository}/blobs/uploads/")[1]["Location"]
    status, code, message = reader.error("PATCH", location, b"layer")
    assert (status, code) == (403, "DENIED")
    assert f"assumed-role/{unique}/reader is not authorized to perform: ecr:UploadLayerPart on resource" in message
