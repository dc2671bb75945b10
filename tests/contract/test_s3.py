"""S3's conditional writes and bucket policies."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from concurrent.futures import ThreadPoolExecutor
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import pytest
from botocore.exceptions import ClientError

from .world import ACCOUNT, REGION, remove_bucket


@pytest.fixture
def s3(client):
    return client("s3")


@pytest.fixture
def bucket(s3, unique):
    s3.create_bucket(Bucket=unique, CreateBucketConfiguration={"LocationConstraint": REGION})
    yield unique
    remove_bucket(s3, unique)


def code_of(call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return None


@pytest.mark.on_aws
@pytest.mark.aws(
    does="Of concurrent PutObject requests with If-None-Match `*` one is accepted.",
    source="https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html",
    sure="documented",
)
def test_of_many_that_claim_a_key_one_wins(s3, bucket, client):
    keys = [f"claim-{number}" for number in range(20)]
    clients = [client("s3") for _ in range(8)]

    def claim(number):
        return [
            key
            for key in keys
            if code_of(clients[number].put_object, Bucket=bucket, Key=key, Body=str(number), IfNoneMatch="*") is None
        ]

    with ThreadPoolExecutor(len(clients)) as pool:
        won = list(pool.map(claim, range(len(clients))))

    assert sorted(key for of_one in won for key in of_one) == sorted(keys)
    for number, of_one in enumerate(won):
        for key in of_one:
            assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == str(number).encode()


@pytest.mark.on_aws
@pytest.mark.aws(
    does="ListObjectsV2 lists keys in UTF-8 order, in pages, with common prefixes by a delimiter.",
    source="https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html",
    sure="documented",
)
def test_a_listing_tells_keys_and_pages_as_s3_does(s3, bucket):
    """Names with what XML and URLs give a meaning to, folders, pages, and an empty listing."""
    names = ["a b/ü&<x>+%", "p/1", "p/2", "p/3", "q"]
    written = {name: s3.put_object(Bucket=bucket, Key=name, Body=name.encode())["ETag"] for name in names}

    first = s3.list_objects_v2(Bucket=bucket, MaxKeys=3)
    assert (first["IsTruncated"], first["KeyCount"], first["MaxKeys"], first["Name"]) == (True, 3, 3, bucket)
    rest = s3.list_objects_v2(Bucket=bucket, MaxKeys=3, ContinuationToken=first["NextContinuationToken"])
    assert (rest["IsTruncated"], rest["KeyCount"]) == (False, 2)
    listed = [*first["Contents"], *rest["Contents"]]
    assert [entry["Key"] for entry in listed] == sorted(names)
    for entry in listed:
        head = s3.head_object(Bucket=bucket, Key=entry["Key"])
        assert entry["ETag"] == head["ETag"] == written[entry["Key"]]
        assert entry["Size"] == head["ContentLength"] == len(entry["Key"].encode())
        # The listing has milliseconds, the header has not.
        assert entry["LastModified"].replace(microsecond=0) == head["LastModified"]
        assert entry["StorageClass"] == "STANDARD"

    folders = s3.list_objects_v2(Bucket=bucket, Delimiter="/")
    assert [entry["Prefix"] for entry in folders["CommonPrefixes"]] == ["a b/", "p/"]
    assert [entry["Key"] for entry in folders["Contents"]] == ["q"]
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket, Prefix="p/", StartAfter="p/1")["Contents"]] == [
        "p/2",
        "p/3",
    ]
    nothing = s3.list_objects_v2(Bucket=bucket, Prefix="nothing")
    assert (nothing["KeyCount"], nothing["IsTruncated"], nothing["Prefix"]) == (0, False, "nothing")
    assert "Contents" not in nothing
    with pytest.raises(ClientError) as raised:
        s3.list_objects_v2(Bucket=f"{bucket}-missing")
    assert raised.value.response["Error"]["Code"] == "NoSuchBucket"


@pytest.mark.on_aws
@pytest.mark.aws(
    does="PutObject with If-Match replaces only the object with that ETag.",
    source="https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html",
    sure="documented",
)
def test_a_counter_under_if_match_loses_no_update(s3, bucket, client):
    s3.put_object(Bucket=bucket, Key="counter", Body=b"0")

    def add(_):
        own = client("s3")
        for _ in range(10):
            while True:
                got = own.get_object(Bucket=bucket, Key="counter")
                value = int(got["Body"].read()) + 1
                if not code_of(own.put_object, Bucket=bucket, Key="counter", Body=str(value), IfMatch=got["ETag"]):
                    break

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(4)))
    assert s3.get_object(Bucket=bucket, Key="counter")["Body"].read() == b"40"


@pytest.mark.on_aws
@pytest.mark.aws(
    does="A condition that fails is PreconditionFailed, If-Match on a key that is not there NoSuchKey.",
    source="https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-requests.html",
    sure="documented",
)
def test_conditions_that_fail_are_named(s3, bucket):
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["ETag"]
    wrong = '"00000000000000000000000000000000"'
    assert code_of(s3.put_object, Bucket=bucket, Key="k", Body=b"2", IfNoneMatch="*") == "PreconditionFailed"
    assert code_of(s3.put_object, Bucket=bucket, Key="k", Body=b"2", IfMatch=wrong) == "PreconditionFailed"
    assert code_of(s3.put_object, Bucket=bucket, Key="new", Body=b"2", IfMatch=etag) == "NoSuchKey"
    assert code_of(s3.delete_object, Bucket=bucket, Key="k", IfMatch=wrong) == "PreconditionFailed"
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"1"
    assert code_of(s3.delete_object, Bucket=bucket, Key="k", IfMatch=etag) is None


def policy(bucket, *statements):
    everything = {
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
        "Action": "s3:*",
        "Principal": "*",
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [{**everything, **statement} for statement in statements]})


@pytest.mark.on_aws
@pytest.mark.aws(
    does="A Deny with aws:SecureTransport false does not deny a request over TLS.",
    source="https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html",
    sure="documented",
)
def test_a_bucket_for_tls_only_is_open_over_tls(s3, bucket):
    tls_only = {"Effect": "Deny", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, tls_only))
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"1"


@pytest.mark.on_aws
@pytest.mark.aws(
    does="A Deny counts when all its conditions are met, and only then.",
    source="https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html",
    sure="documented",
)
def test_a_deny_whose_condition_is_met_denies(s3, bucket):
    wrong_key = {
        "Effect": "Deny",
        "Action": "s3:PutObject",
        "Condition": {
            "StringNotEquals": {"s3:x-amz-server-side-encryption": "aws:kms"},
            "Null": {"s3:x-amz-server-side-encryption": "false"},
        },
    }
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, wrong_key))
    refused = code_of(s3.put_object, Bucket=bucket, Key="k", Body=b"1", ServerSideEncryption="AES256")
    assert refused == "AccessDenied"
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")


@pytest.mark.on_aws
@pytest.mark.aws(
    does=(
        "DeleteObject without a version adds a delete marker; deleting a version is an action of its own, "
        "s3:DeleteObjectVersion."
    ),
    source="https://docs.aws.amazon.com/AmazonS3/latest/userguide/DeletingObjectVersions.html",
    sure="documented",
)
def test_versions_stay_where_the_policy_keeps_them(s3, bucket):
    """What `storage` says where nothing may be lost: an object may be deleted, what it was comes back."""
    keep = {"Effect": "Deny", "Action": "s3:DeleteObjectVersion", "Resource": f"arn:aws:s3:::{bucket}/*"}
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, keep, {"Effect": "Deny", "Action": "s3:DeleteBucket"}))
    version = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["VersionId"]

    s3.delete_object(Bucket=bucket, Key="k")
    assert code_of(s3.get_object, Bucket=bucket, Key="k") == "NoSuchKey"
    assert code_of(s3.delete_object, Bucket=bucket, Key="k", VersionId=version) == "AccessDenied"
    several = [{"Key": "k", "VersionId": version}, {"Key": "other"}]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": several})
    assert [error["Code"] for error in answer["Errors"]] == ["AccessDenied"]
    assert [deleted["Key"] for deleted in answer["Deleted"]] == ["other"]
    assert s3.get_object(Bucket=bucket, Key="k", VersionId=version)["Body"].read() == b"1"
    assert code_of(s3.delete_bucket, Bucket=bucket) == "AccessDenied"


@pytest.mark.aws(
    does="aws:PrincipalAccount is the caller's account; BoolIfExists is met where the key is missing.",
    source="https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html",
    sure="documented",
)
def test_a_bucket_for_its_own_account_is_open_to_it_and_closed_to_others(s3, bucket):
    def only(account):
        return {
            "Effect": "Deny",
            # Whoever locks everybody out of a policy needs the account's root user to take it away.
            "Action": "s3:*Object",
            "Condition": {
                "StringNotEquals": {"aws:PrincipalAccount": account},
                "BoolIfExists": {"aws:PrincipalIsAWSService": "false"},
            },
        }

    s3.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, only(ACCOUNT)))
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, only("210987654321")))
    assert code_of(s3.get_object, Bucket=bucket, Key="k") == "AccessDenied"


@pytest.mark.aws(
    does=(
        "Server access logs are delivered by logging.s3.amazonaws.com, which the target bucket's policy must "
        "let in, best effort and hours later."
    ),
    source="https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html",
    sure="documented",
)
def test_logging_wants_a_policy_that_lets_it_and_comes_later_than_anybody_waits(s3, bucket, unique):
    target = f"{unique}-logs"
    s3.create_bucket(Bucket=target, CreateBucketConfiguration={"LocationConstraint": REGION})
    logging = {"LoggingEnabled": {"TargetBucket": target, "TargetPrefix": "s3/"}}
    tls_only = {"Effect": "Deny", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}
    s3.put_bucket_policy(Bucket=target, Policy=policy(target, tls_only))
    assert code_of(s3.put_bucket_logging, Bucket=bucket, BucketLoggingStatus=logging) is not None

    delivery = {
        "Effect": "Allow",
        "Principal": {"Service": "logging.s3.amazonaws.com"},
        "Action": ["s3:PutObject"],
        "Resource": f"arn:aws:s3:::{target}/s3/*",
        "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}},
    }
    s3.put_bucket_policy(Bucket=target, Policy=policy(target, tls_only, delivery))
    s3.put_bucket_logging(Bucket=bucket, BucketLoggingStatus=logging)
    assert s3.get_bucket_logging(Bucket=bucket)["LoggingEnabled"]["TargetBucket"] == target
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    assert s3.list_objects_v2(Bucket=target)["KeyCount"] == 0


@pytest.mark.aws(
    does="S3 refuses a presigned address whose time is over with AccessDenied, 403, Request has expired.",
    source="https://github.com/aws/aws-sdk-php/issues/1333",
    sure="reported",
)
def test_a_presigned_address_ends(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    address = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"}, ExpiresIn=60)
    assert status_of(address) == (200, "1")
    status, body = status_of(re.sub(r"X-Amz-Date=\d{8}", "X-Amz-Date=20250101", address))
    assert status == 403
    assert "<Code>AccessDenied</Code><Message>Request has expired</Message>" in body


def status_of(address):
    try:
        with build_opener(ProxyHandler({})).open(address) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.aws(
    does="S3 checks a body against its Content-MD5: BadDigest when it is another's, InvalidDigest when it is none.",
    source="https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html",
    sure="documented",
)
def test_a_body_has_its_md5(s3, bucket):
    right = base64.b64encode(hashlib.md5(b"body").digest()).decode()
    wrong = base64.b64encode(hashlib.md5(b"another").digest()).decode()
    assert code_of(s3.put_object, Bucket=bucket, Key="k", Body=b"body", ContentMD5=right) is None
    assert code_of(s3.put_object, Bucket=bucket, Key="k", Body=b"body", ContentMD5=wrong) == "BadDigest"
    assert code_of(s3.put_object, Bucket=bucket, Key="k", Body=b"body", ContentMD5="AAAA") == "InvalidDigest"


@pytest.mark.aws(
    does="S3 checks a body against its x-amz-checksum header and refuses another with BadDigest.",
    source="https://github.com/aws/aws-sdk-ruby/issues/3322",
    sure="reported",
)
@pytest.mark.parametrize("name", ["CRC32", "SHA1", "SHA256"])
def test_a_body_has_its_checksum(s3, bucket, name):
    def put(body, checksum):
        return code_of(s3.put_object, Bucket=bucket, Key=name, Body=body, **{f"Checksum{name}": checksum})

    s3.put_object(Bucket=bucket, Key=name, Body=b"body", ChecksumAlgorithm=name)
    checksum = s3.head_object(Bucket=bucket, Key=name, ChecksumMode="ENABLED")[f"Checksum{name}"]
    assert put(b"body", checksum) is None
    assert put(b"damaged", checksum) == "BadDigest"


@pytest.mark.aws(
    does="S3 checks and computes CRC32C, the Castagnoli polynomial's, too.",
    source="https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html; RFC 3720, B.4",
    sure="documented",
)
def test_a_body_has_its_crc32c(s3, bucket):
    # Client libraries leave it to awscrt: this one is RFC 3720's, of 32 zeros.
    right = base64.b64encode(0x8A9136AA.to_bytes(4, "big")).decode()
    put = {"Bucket": bucket, "Key": "crc32c", "ChecksumCRC32C": right}
    assert code_of(s3.put_object, Body=bytes(32), **put) is None
    assert s3.head_object(Bucket=bucket, Key="crc32c", ChecksumMode="ENABLED")["ChecksumCRC32C"] == right
    assert code_of(s3.put_object, Body=b"damaged", **put) == "BadDigest"


@pytest.mark.aws(
    does="S3 takes a body in chunks, with its checksum behind it, and checks it too.",
    source="https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html",
    sure="documented",
)
def test_a_body_in_chunks_has_its_checksum_behind_it(s3, bucket, endpoint):
    def put(checksum):
        address = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "chunks"})
        body = f"4\r\nbody\r\n2\r\n..\r\n0\r\nx-amz-checksum-crc32:{checksum}\r\n\r\n".encode()
        headers = {
            "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            "x-amz-trailer": "x-amz-checksum-crc32",
            "Content-Encoding": "aws-chunked",
            "Content-Type": "text/plain",
            "x-amz-decoded-content-length": "6",
        }
        return status_of(Request(address, body, headers, method="PUT"))

    assert put(base64.b64encode(zlib.crc32(b"body..").to_bytes(4, "big")).decode())[0] == 200
    assert s3.get_object(Bucket=bucket, Key="chunks")["Body"].read() == b"body.."
    status, body = put("AAAAAA==")
    assert status == 400
    assert "<Code>BadDigest</Code>" in body


@pytest.mark.aws(
    does="A listing by a delimiter shows a folder only while an object in it is there, in a versioned bucket too.",
    source="https://docs.aws.amazon.com/AmazonS3/latest/userguide/DeleteMarker.html",
    sure="documented",
)
def test_a_folder_goes_with_its_last_object(s3, bucket):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for key in ("kept/1", "gone/1"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"1")
    s3.delete_object(Bucket=bucket, Key="gone/1")
    for call in (s3.list_objects_v2, s3.list_objects):
        assert [entry["Prefix"] for entry in call(Bucket=bucket, Delimiter="/")["CommonPrefixes"]] == ["kept/"]


@pytest.mark.aws(
    does="Whoever owns a bucket pays for what is asked of it, unless the requester is made to.",
    source="https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketRequestPayment.html",
    sure="documented",
)
def test_the_owner_pays(s3, bucket):
    assert s3.get_bucket_request_payment(Bucket=bucket)["Payer"] == "BucketOwner"


def test_a_sub_resource_that_is_not_emulated_makes_no_bucket(s3, unique):
    with pytest.raises(ClientError) as raised:
        s3.put_bucket_request_payment(Bucket=unique, RequestPaymentConfiguration={"Payer": "Requester"})
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
    address = s3.generate_presigned_url("create_bucket", Params={"Bucket": unique})
    status, body = status_of(Request(f"{address}&newest", method="PUT"))
    assert status == 501
    assert "newest" in body
    assert unique not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
